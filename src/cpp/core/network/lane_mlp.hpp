// A tanh network and its derivatives on many samples, which lie along the lanes of the vectors.
//
// Samples come in panels of Kernels::panel. What a layer reads or gives lies as (features, panel)
// for each panel, so that weights in torch's own layout (out, in) are an operand of
// Kernels::product as they are, and the result of one layer is the operand of the next. The
// gradient of a weight is a sum over samples: for it the inputs are kept a second time by rows, as
// (panels of features, samples, panel).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/network/aligned.hpp"
#include "kernels/kernels.hpp"

namespace admrl {

// Buffers of one thread for up to `panels` panels at once; the contents mean nothing between calls.
struct LaneScratch {
  LaneBuffer even, odd;  // what layers give, in turn: each (panels, widest layer, panel)
};

class LaneMlp {
 public:
  // sizes: in, hidden ..., out. Raises InvalidInput if there are fewer than two or one is not
  // positive.
  explicit LaneMlp(std::span<const int> sizes);

  int panel() const noexcept { return kernels_->panel; }
  int in_dim() const noexcept { return layers_.front().in; }
  int out_dim() const noexcept { return layers_.back().out; }
  // Parameters: weight (out, in) and bias (out) of every layer, from first to last, in one vector.
  std::size_t num_params() const noexcept { return num_params_; }
  // What `adjoint` adds to: the rows of a weight are padded to panels, and every element of a
  // bias is `panel` partial sums.
  std::size_t gradient_size() const noexcept { return gradient_size_; }
  // The weight and the bias of the last layer begin here.
  std::size_t last_weight() const noexcept { return layers_.back().weight; }
  std::size_t last_bias() const noexcept { return layers_.back().bias; }

  LaneScratch scratch(int panels) const;

  // The inputs of every layer of `panels` panels of samples, kept for derivatives.
  class Kept {
   public:
    Kept(const LaneMlp& mlp, int panels);
    // (in, panel) of a layer's input, for one panel of samples; the next panel follows.
    float* lanes(std::size_t layer, int panel) const {
      return data_.data() + lanes_[layer].at(panel);
    }
    // (panel, panel): samples by features, for the first panel of features; the others are
    // rows_step apart.
    float* rows(std::size_t layer, int panel) const {
      return data_.data() + rows_[layer].at(panel);
    }
    std::size_t rows_step() const noexcept { return rows_step_; }

   private:
    struct Place {
      std::size_t first, step;
      std::size_t at(int panel) const { return first + step * static_cast<std::size_t>(panel); }
    };
    std::vector<Place> lanes_, rows_;
    std::size_t rows_step_;
    LaneBuffer data_;
  };

  // x (panels, in, panel) = (samples (count, in) - mean (in)) / std (in); zeros after the last.
  void read(const float* samples, int count, std::span<const float> mean,
            std::span<const float> std, int panels, float* x) const;

  // y (panels, out, panel) of x (panels, in, panel).
  void forward(const float* params, const float* x, int panels, LaneScratch& scratch,
               float* y) const;
  // The same from the kept inputs of the first layer; those of the others are filled in.
  void forward(const float* params, const Kept& kept, int first, int panels, float* y) const;

  // y (panels, out, panel) = J v of a direction v (num_params): how the output changes along it.
  void tangent(const float* params, const float* direction, const Kept& kept, int first, int panels,
               LaneScratch& scratch, float* y) const;
  // gradient (gradient_size) += J' w of w (panels, out, panel).
  void adjoint(const float* params, const Kept& kept, int first, int panels, const float* w,
               LaneScratch& scratch, float* gradient) const;
  // out (num_params) += gradient (gradient_size).
  void add_gradient(const float* gradient, std::span<double> out) const;

 private:
  struct Layer {
    int in, out;
    std::size_t weight, bias;  // in the parameters
    int padded_in;
    std::size_t weight_gradient, bias_gradient;  // in the gradient
  };

  // y = end(W x + b), or y = end(y + W x).
  void apply(const Layer& layer, const float* params, const float* x, int panels,
             ProductStart start, ProductEnd end, const float* slopes, float* y) const;
  void keep_rows(const Layer& layer, std::size_t index, const Kept& kept, int first,
                 int panels) const;

  const Kernels* kernels_;
  std::vector<Layer> layers_;
  std::size_t num_params_ = 0, gradient_size_ = 0;
  int widest_ = 0;
};

class ThreadPool;

// y (M, out) of x (M, in), both by rows, normalised as in LaneMlp::read.
// Determinism: the bits do not depend on the number of threads.
void forward_rows(ThreadPool& pool, const LaneMlp& mlp, const float* params,
                  std::span<const float> mean, std::span<const float> std, const float* x,
                  std::size_t rows, float* y);

}  // namespace admrl
