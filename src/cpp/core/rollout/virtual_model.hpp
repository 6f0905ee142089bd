// The learned dynamics model, packed for predicting a few rows at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/network/aligned.hpp"
#include "core/network/mlp.hpp"
#include "core/network/precision.hpp"
#include "core/threads/thread_pool.hpp"
#include "kernels/kernels.hpp"

namespace admrl {

// s' = clip(s + network([s, clip(a, -1, 1)]), low, high): a ReLU network in real units, all
// normalisers folded into its weights. With bf16 the weights and activations of every layer but
// the first are rounded; the first reads states in real units, which need not be small beside their
// spread. Sums and the state are float32 always.
//
// Determinism: the bits of a row depend on the model, the row, and the instruction set alone.
class VirtualModel {
 public:
  // layers: (D + A) to (D), copied; low, high (D).
  // Raises InvalidInput for sizes that do not fit, a number that is not finite, or bf16 where there
  // is none.
  VirtualModel(std::span<const MlpLayer> layers, std::span<const float> low,
               std::span<const float> high, Precision precision, ThreadPool& pool);

  int obs_dim() const noexcept { return obs_dim_; }
  int act_dim() const noexcept { return layers_.front().in - obs_dim_; }
  // Rows at which the products are at their best.
  int best_rows() const noexcept { return kernels_->tile_rows; }

  // Activations of up to `rows` rows.
  class Scratch {
   public:
    Scratch(const VirtualModel& model, int rows);

   private:
    friend class VirtualModel;
    AlignedVector<float> even_, odd_;
    AlignedVector<std::uint32_t> even_pairs_, odd_pairs_;
  };

  // Writes next (rows, D) for states (rows, D) and actions (rows, A), one row after the other in
  // inputs (rows, D + A): the actions clipped, as the network takes them.
  void predict(const float* inputs, int rows, float* next, Scratch& scratch) const noexcept;
  // The same for states (M, D) and actions (M, A), not clipped, of any number of rows.
  void predict(ThreadPool& pool, std::span<const float> states, std::span<const float> actions,
               std::span<float> next) const;

 private:
  struct Layer {
    int in, out;
    int panels;  // of the outputs, padded
    AlignedVector<float> weights, bias;
    AlignedVector<std::uint32_t> pairs;  // the weights as bfloat16, instead of `weights`
  };

  void multiply(const Layer& layer, const float* x, const std::uint32_t* x_pairs, int rows,
                ProductEnd end, float* y, std::uint32_t* y_pairs) const noexcept;

  const Kernels* kernels_;
  Precision precision_;
  int obs_dim_;
  int width_ = 0;  // of the widest layer, padded
  std::vector<Layer> layers_;
  std::vector<float> low_, high_;
};

}  // namespace admrl
