// The few lines that the C++ tests need: CHECK counts failures, and main returns how it went.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace admrl_test {

inline int failures = 0;

inline void check(bool condition, const char* text, const char* file, int line) {
  if (condition) return;
  std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
  ++failures;
}

// True if the call throws E with `part` in its message.
template <class E, class F>
bool throws(F call, const std::string& part) {
  try {
    call();
  } catch (const E& e) {
    if (std::string(e.what()).find(part) != std::string::npos) return true;
    std::fprintf(stderr, "message: %s\n", e.what());
  }
  return false;
}

// Runs the tests of a program and returns what its main returns.
template <class F>
int run(F tests) {
  try {
    tests();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "failed: %s\n", e.what());
    ++failures;
  }
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace admrl_test

#define CHECK(...) admrl_test::check((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

// Passes if the expression throws this type.
#define CHECK_THROWS(expression, type)             \
  do {                                             \
    bool caught = false;                           \
    try {                                          \
      static_cast<void>(expression);               \
    } catch (const type&) {                        \
      caught = true;                               \
    }                                              \
    CHECK(caught && #expression " throws " #type); \
  } while (false)
