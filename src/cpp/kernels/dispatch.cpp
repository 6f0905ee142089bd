#include "kernels/dispatch.hpp"

#include <cstdlib>

#include "core/error.hpp"

namespace admrl {

extern const Kernels kernels_generic;
#ifdef ADMRL_X86_KERNELS
extern const Kernels kernels_x86_64_v2;
extern const Kernels kernels_x86_64_v3;
extern const Kernels kernels_x86_64_v4;
#endif
#ifdef ADMRL_BF16_KERNELS
extern const Kernels kernels_x86_64_v4_bf16;
#endif

namespace {

struct Candidate {
  const Kernels* kernels;
  bool supported;
};

// Lowest first.
std::vector<Candidate> candidates() {
  std::vector<Candidate> all{{&kernels_generic, true}};
#ifdef ADMRL_X86_KERNELS
  __builtin_cpu_init();
#if defined(__clang__) || __GNUC__ < 12
  // These compilers do not know the levels by name; the features that tell them apart.
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
#else
  const bool v2 = __builtin_cpu_supports("x86-64-v2");
  const bool v3 = __builtin_cpu_supports("x86-64-v3");
  const bool v4 = __builtin_cpu_supports("x86-64-v4");
#endif
  all.push_back({&kernels_x86_64_v2, v2});
  all.push_back({&kernels_x86_64_v3, v3});
  all.push_back({&kernels_x86_64_v4, v4});
#ifdef ADMRL_BF16_KERNELS
  all.push_back({&kernels_x86_64_v4_bf16, v4 && __builtin_cpu_supports("avx512bf16")});
#endif
#endif
  return all;
}

std::string join(const std::vector<const Kernels*>& list) {
  std::string text;
  for (const Kernels* k : list) text += (text.empty() ? "" : ", ") + std::string(k->isa);
  return text;
}

const Kernels& choose() {
  const char* wanted = std::getenv("ADMRL_ISA");
  const std::vector<const Kernels*> available = available_kernels();
  if (wanted == nullptr || *wanted == '\0') return *available.back();
  for (const Kernels* k : available) {
    if (std::string(wanted) == k->isa) return *k;
  }
  for (const Candidate& c : candidates()) {
    if (std::string(wanted) == c.kernels->isa) {
      throw InvalidInput("ADMRL_ISA: this CPU has not " + std::string(wanted) +
                         "; it has: " + join(available));
    }
  }
  throw InvalidInput("ADMRL_ISA: expected one of " + join(available) + ", got '" + wanted + "'");
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> available;
  for (const Candidate& c : candidates()) {
    if (c.supported) available.push_back(c.kernels);
  }
  return available;
}

}  // namespace admrl
