// The compute kernels: one table of functions per instruction set, chosen once at run time.
//
// kernels.cpp is compiled once per instruction set. The linker keeps one copy of every inline
// function of the program, possibly the one compiled for a CPU that the user has not: so
// kernels.cpp includes no library header, keeps all it defines in an anonymous namespace, and
// exports its table alone.
#pragma once

namespace admrl {

enum class KernelActivation { none, tanh, relu };

struct Kernels {
  const char* isa;  // "generic", "x86-64-v2", ...
  int width;        // layer widths are padded to a multiple of this

  // y (out) = activation(x (in) · w (in, out) + b (out)); out is a multiple of `width`.
  void (*dense)(const float* x, int in, const float* w, const float* b, int out,
                KernelActivation activation, float* y) noexcept;
  // y (n) = tanh(x (n)), a few units in the last place off (see test_mlp.cpp); NaN stays NaN.
  void (*tanh)(const float* x, int n, float* y) noexcept;
};

}  // namespace admrl
