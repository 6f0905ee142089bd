// The forward pass of a small dense network, one sample per call, on the best kernels of this CPU.
#pragma once

#include <span>
#include <vector>

#include "core/network/aligned.hpp"
#include "core/network/layers.hpp"
#include "kernels/kernels.hpp"

namespace admrl {

// Weights packed once for `forward`: transposed, outputs padded to the width of the kernels and
// kept in panels, each of which is read from one end to the other.
// The layers are copied, so they may change or go after construction.
// Determinism: the bits depend on the weights, the input and the instruction set, on nothing else.
class PackedMlp {
 public:
  // Raises InvalidInput if there is no layer, a size is not positive, or the sizes do not chain.
  PackedMlp(std::span<const MlpLayer> layers, Activation hidden);

  int in_dim() const noexcept { return in_dim_; }
  int out_dim() const noexcept { return out_dim_; }
  // Floats that `forward` needs as scratch; no alignment is asked for.
  int scratch_size() const noexcept { return 2 * width_; }

  // y (out_dim) = network(x (in_dim)); the activation follows every layer but the last.
  // Thread-safe with one scratch per thread. x, y and scratch must not overlap.
  void forward(const float* x, float* y, float* scratch) const noexcept;

 private:
  struct Layer {
    int in;
    int out;         // padded
    size_t weights;  // offset in data_ of the weights, in panels; the (out) bias follows them
  };

  const Kernels* kernels_;
  Activation hidden_;
  int in_dim_ = 0;
  int out_dim_ = 0;
  int width_ = 0;  // widest padded layer
  std::vector<Layer> layers_;
  AlignedVector<float> data_;  // no vector of weights straddles two cache lines
};

}  // namespace admrl
