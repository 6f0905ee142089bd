// Fits the dynamics model to transitions of the replay: Adam steps on minibatches, many in one
// call.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/network/layers.hpp"
#include "core/network/precision.hpp"
#include "core/threads/thread_pool.hpp"
#include "core/update/adam.hpp"

namespace admrl {

struct DynamicsData {
  std::span<const float> rows;                             // (R, 2D + A): [s, a, s']
  std::span<const std::int64_t> order;                     // (steps, batch): rows of every step
  std::span<const float> obs_mean, obs_std;                // (D)
  std::span<const float> difference_mean, difference_std;  // (D)
};

struct DynamicsFitSettings {
  AdamSettings adam;
  double weight_decay = 0.0;
  double max_grad_norm = 2.0;
  Precision precision = Precision::fp32;  // of the products of all layers but the first
};

// A ReLU network predicts ((s' - s) - difference_mean) / difference_std, (D), from
// [(s - obs_mean) / obs_std, clip(a, -1, 1)], (D + A). A step minimises the mean over its batch of
// the root mean square error + ½ weight_decay |parameters|², the gradient's norm clipped at
// max_grad_norm; then Adam. `steps_done` is the number of steps behind the moments; `batch` the
// samples of a step. `poll` is called now and then between steps and may throw: the layers then
// hold the state after the steps done.
//
// Returns the mean loss (without the weight decay) of the steps, each taken before its update.
// Raises InvalidInput for layers that do not chain, sizes that disagree, rows that are not there,
// a standard deviation that is not positive, settings out of range, or a precision that this
// CPU lacks; nothing is written.
// Determinism: the bits depend on the arguments and the instruction set alone.
// Source: training/dynamics_fit.py, the same in torch.
double fit_dynamics(ThreadPool& pool, std::span<const TrainedLayer> layers, std::int64_t steps_done,
                    const DynamicsData& data, int batch, const DynamicsFitSettings& settings,
                    const std::function<void()>& poll);

}  // namespace admrl
