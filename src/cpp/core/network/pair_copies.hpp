// The operands of a layer's products, rounded to bfloat16.
#pragma once

#include <vector>

#include "core/network/aligned.hpp"
#include "core/network/layers.hpp"
#include "kernels/kernels.hpp"

namespace admrl {

// Every operand in pairs along the index that its product sums over. An odd size is filled up with
// zeros. `row` is even everywhere: a pair is never taken in two halves.
struct PairCopies {
  PairCopies(const Kernels& kernels, const TrainedLayer& layer, int batch);

  // Rows of the weights (out, in).
  void take_weights(const float* weight, int row, int rows) noexcept;
  // Rows of panel p of the inputs (in, panel), and of the derivatives of the outputs (out, panel).
  void take_inputs(const float* x, int row, int rows, int p) noexcept;
  void take_delta(const float* d, int row, int rows, int p) noexcept;

  int in_pairs, out_pairs, batch_pairs;
  AlignedVector<unsigned> weights;       // (out, in_pairs), for the outputs
  AlignedVector<unsigned> x;             // (panels, in_pairs, panel), for the outputs
  AlignedVector<unsigned> weights_back;  // (out_pairs, in), for the delta below
  AlignedVector<unsigned> delta;         // (panels, out_pairs, panel), for the delta below
  AlignedVector<unsigned> delta_rows;    // (out, delta_row), for the gradient
  AlignedVector<unsigned> x_columns;     // (panels of in + 1, batch_pairs, panel), for the gradient
  int delta_row;

 private:
  const Kernels& kernels_;
  int in_, out_;
};

}  // namespace admrl
