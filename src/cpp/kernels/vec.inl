// Vectors of the instruction set that kernels.cpp is compiled for, and functions of them. Included
// inside its anonymous namespace.

#pragma once

constexpr int kWidth = ADMRL_KERNEL_WIDTH;

typedef float Vec __attribute__((vector_size(4 * kWidth)));
typedef float UnalignedVec __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));

// As many float64; more than one register.
typedef double DoubleVec __attribute__((vector_size(8 * kWidth)));

inline Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
inline Vec splat(float x) { return x - Vec{}; }

// x P(x²) / Q(x²), a minimax fit of the relative error (2.3e-8) on [-9.02, 9.02], where tanh rounds
// to 1. All coefficients are positive, so rounding errors do not grow: a few units in the last
// place. Comparisons are written so that NaN stays NaN.
inline Vec tanh_vec(Vec x) {
  constexpr float limit = 9.02f;
  x = x > limit ? splat(limit) : x;
  x = x < -limit ? splat(-limit) : x;
  const Vec u = x * x;
  Vec p = u * 1.338185308e-8f + 2.063419551e-5f;
  p = p * u + 3.497366401e-3f;
  p = p * u + 0.1338261354f;
  p = p * u + 1.0f;
  Vec q = u * 7.789287589e-7f + 3.288362344e-4f;
  q = q * u + 2.588402309e-2f;
  q = q * u + 0.4671593492f;
  q = q * u + 1.0f;
  Vec y = x * (p / q);
  y = y > 1.0f ? splat(1.0f) : y;
  return y < -1.0f ? splat(-1.0f) : y;
}

inline Vec activate(Vec x, Activation activation) {
  switch (activation) {
    case Activation::tanh:
      return tanh_vec(x);
    case Activation::relu:
      return x < 0.0f ? Vec{} : x;
    case Activation::none:
      break;
  }
  return x;
}
