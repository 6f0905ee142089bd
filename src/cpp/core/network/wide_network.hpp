// A ReLU network on batches wide enough for matrix products: forward, backward, Adam.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/network/aligned.hpp"
#include "core/network/layers.hpp"
#include "core/network/pair_copies.hpp"
#include "core/network/precision.hpp"
#include "core/threads/thread_pool.hpp"
#include "core/update/adam.hpp"

namespace admrl {

// Works on torch's own arrays: the weights are an operand of every product as they lie, and weights
// and moments are updated in place. Samples lie along the columns of the products, in panels of
// Kernels::panel: feature f of sample s, of n features, is at [(s / panel · n + f) · panel + s %
// panel]. So the result of a layer is an operand of the next; only the gradient needs its
// transpose.
//
// In bf16 the products read copies of weights, inputs and derivatives that are rounded to bfloat16;
// all else, and the first layer, whose inputs are the data, stays float32.
//
// Nothing is allocated after construction. Determinism: every product is cut into pieces that
// depend on the sizes alone, and every sum has one order: the bits do not depend on the threads.
class WideNetwork {
 public:
  // The layers chain; the activation follows every layer but the last. They are borrowed.
  // Raises InvalidInput if this CPU lacks the precision.
  WideNetwork(std::span<const TrainedLayer> layers, int batch, Precision precision);

  int panel() const noexcept { return kernels_.panel; }
  int panels() const noexcept { return panels_; }  // of the batch; the last one may not be full

  // Sets the inputs (in) of one sample. Thread-safe for different samples.
  void set_input(int sample, const float* input) noexcept;
  void forward(ThreadPool& pool);
  // Panel p of the outputs and of their derivatives in the loss, (out, panel) each. The derivatives
  // have to be 0 in the columns that no sample fills.
  const float* output(int p) const noexcept;
  float* output_delta(int p) noexcept;
  // The gradient + weight_decay · parameters. Returns its norm.
  double backward(ThreadPool& pool, float weight_decay);
  void adam(ThreadPool& pool, const AdamStep& step);

 private:
  struct Piece {  // of a matrix in panels
    int row, rows, panel, panels;
  };

  struct Layer {
    TrainedLayer trained;
    int in_panels;                    // of the inputs and a 1, whose gradient is that of the bias
    std::optional<PairCopies> pairs;  // if its products are in bfloat16
    AlignedVector<float> x;  // (in_panels, batch, panel): inputs, transposed; empty with `pairs`
    AlignedVector<float> y;  // (panels, out, panel): outputs
    AlignedVector<float> delta;     // as y: derivatives of the loss in the sums
    AlignedVector<float> gradient;  // every piece's begins at row · gradient_row, without gaps
    std::size_t gradient_row;
    std::vector<float> bias_gradient;  // (out)
    std::vector<double> squares;       // (out): of the gradient of a row, its bias included
    std::vector<Piece> outputs, inputs, gradients;  // pieces of y, of the delta below, of gradient
  };

  std::vector<Piece> cut(int rows, int tiles_of_piece, int panels, int panels_of_piece) const;
  template <class Element>
  void outputs(Layer& l, const Piece& piece, const Element* weights, const Element* x, int k,
               ProductEnd end) noexcept;
  void forward(std::size_t i, const Piece& piece) noexcept;
  void hand_on(std::size_t i, const Piece& piece) noexcept;
  template <class Element>
  void inputs_delta(std::size_t i, const Piece& piece, const Element* weights, const Element* delta,
                    int k) noexcept;
  void delta_below(std::size_t i, const Piece& piece) noexcept;
  void take_delta(Layer& l, const Piece& piece) noexcept;
  template <class Element>
  void delta_times_inputs(Layer& l, const Piece& piece, const Element* delta, long a_row,
                          long a_block, const Element* x, int k) noexcept;
  void gradient(std::size_t i, const Piece& piece, float weight_decay) noexcept;
  void adam(std::size_t i, const Piece& piece, const AdamStep& step) noexcept;

  const Kernels& kernels_;
  int batch_, panels_;
  AlignedVector<float> input_;  // (panels, in, panel)
  std::vector<Layer> layers_;
  std::vector<std::size_t> adam_layer_;  // of each piece of `adam`
  std::vector<Piece> adam_pieces_;
};

}  // namespace admrl
