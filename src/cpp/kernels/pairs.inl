// Pairs of bfloat16 from float32, rounded to the nearest: the operands of the bfloat16 product.
// Included inside the anonymous namespace of kernels.cpp.

#ifdef ADMRL_KERNEL_BF16
inline __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>(n < 16 ? (1u << n) - 1u : 0xffffu);
}

void pair_neighbours(const float* x, int n, unsigned* pairs) noexcept {
  for (int i = 0; i < n; i += 32) {
    const int left = n - i;
    const __m512 early = _mm512_maskz_loadu_ps(first_lanes(left), x + i);
    const __m512 late =
        left > 16 ? _mm512_maskz_loadu_ps(first_lanes(left - 16), x + i + 16) : _mm512_setzero_ps();
    _mm512_mask_storeu_epi32(pairs + i / 2, first_lanes((left + 1) / 2),
                             (__m512i)_mm512_cvtne2ps_pbh(late, early));
  }
}

void pair_rows(const float* low, const float* high, int n, unsigned* pairs) noexcept {
  const __m512i interleave =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (int i = 0; i < n; i += 16) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512 l = _mm512_maskz_loadu_ps(lanes, low + i);
    const __m512 h = high == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(lanes, high + i);
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(h, l);
    _mm512_mask_storeu_epi32(pairs + i, lanes, _mm512_permutexvar_epi16(interleave, both));
  }
}
#else
constexpr void (*pair_neighbours)(const float*, int, unsigned*) noexcept = nullptr;
constexpr void (*pair_rows)(const float*, const float*, int, unsigned*) noexcept = nullptr;
#endif
