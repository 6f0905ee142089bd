// Fits a tanh network with one output to targets: Adam on minibatches, the whole fit in one call.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace admrl {

// One layer and its Adam moments, all borrowed and updated in place. weight, like torch, (out, in)
// row-major; `first` and `second` are the running means of the gradient and of its square.
struct TrainedLayer {
  float* weight;
  float* bias;
  float* weight_first;
  float* bias_first;
  float* weight_second;
  float* bias_second;
  int in;
  int out;
};

struct AdamSettings {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

struct ValueData {
  std::span<const float> x;             // (M, in)
  std::span<const float> targets;       // (M)
  std::span<const std::int64_t> order;  // (epochs, M): the samples of every epoch, in turn
};

// Minimises the mean of (V(x) - target)² / 2 over minibatches; the last one of an epoch may be
// smaller. `steps_done` is the number of Adam steps behind the moments. `between_epochs` is called
// before every epoch and may throw: the layers then hold the state after the epochs done.
// Returns the mean loss of every epoch. Raises InvalidInput for layers that do not chain or end in
// one output, sizes that disagree, samples that are not in x, or settings out of range.
// Determinism: one thread; the bits depend on the arguments and the instruction set alone.
std::vector<double> fit_value(std::span<const TrainedLayer> layers, std::int64_t steps_done,
                              const ValueData& data, int minibatch, const AdamSettings& adam,
                              const std::function<void()>& between_epochs);

}  // namespace admrl
