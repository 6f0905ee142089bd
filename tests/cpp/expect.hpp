// The checks of the C++ test programs: a failed one says where, and fails the program.
#pragma once

#include <cstdio>

namespace expect {

inline int failures = 0;

inline void that(bool ok, const char* what, const char* file, int line) {
  if (ok) return;
  ++failures;
  std::printf("%s:%d: failed: %s\n", file, line, what);
}

}  // namespace expect

#define EXPECT(condition) expect::that((condition), #condition, __FILE__, __LINE__)

// Passes if the expression throws this type.
#define EXPECT_THROW(expression, type)              \
  do {                                              \
    bool caught = false;                            \
    try {                                           \
      static_cast<void>(expression);                \
    } catch (const type&) {                         \
      caught = true;                                \
    }                                               \
    EXPECT(caught && #expression " throws " #type); \
  } while (false)
