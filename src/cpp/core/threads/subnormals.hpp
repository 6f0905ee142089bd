// Numbers too small for all their bits (float32 below 1.2e-38), in the arithmetic of a thread.
//
// Weight decay carries the weights of a unit that has died there, and Adam its moments; Intel's
// processors then take some hundred cycles for each multiplication instead of a part of one.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace admrl {

// While one lives, its thread reads subnormal numbers as 0 and gives 0 for those that it would get.
// What the thread did before is restored. Elsewhere than on x86-64 and 64-bit ARM: no effect.
class FlushSubnormals {
 public:
  FlushSubnormals() noexcept : before_(get()) { set(before_ | kFlush); }
  ~FlushSubnormals() { set(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
#if defined(__SSE2__)
  using Word = std::uint32_t;
  static constexpr Word kFlush = _MM_FLUSH_ZERO_ON | 0x0040;  // FTZ: results, DAZ: operands
  static Word get() noexcept { return _mm_getcsr(); }
  static void set(Word word) noexcept { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = std::uint64_t;
  static constexpr Word kFlush = Word{1} << 24;  // FPCR.FZ: both
  static Word get() noexcept {
    Word word;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void set(Word word) noexcept { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = std::uint32_t;
  static constexpr Word kFlush = 0;
  static Word get() noexcept { return 0; }
  static void set(Word) noexcept {}
#endif

  Word before_;
};

}  // namespace admrl
