// Fits a tanh network with one output to targets: Adam on minibatches, the whole fit in one call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/network/layers.hpp"
#include "core/threads/job.hpp"
#include "core/update/adam.hpp"

namespace admrl {

struct ValueData {
  std::span<const float> x;             // (M, in)
  std::span<const float> targets;       // (M)
  std::span<const std::int64_t> order;  // (epochs, M): the samples of every epoch, in turn
};

// Minimises the mean of (V(x) - target)² / 2 over minibatches; the last one of an epoch may be
// smaller. Everything it is given is borrowed until it has run.
//
// Determinism: one thread; the bits depend on the arguments and the instruction set alone.
class ValueFit : public Job {
 public:
  // steps_done: Adam steps behind the moments. Raises InvalidInput for layers that do not chain or
  // end in one output, sizes that disagree, samples that are not in x, or settings out of range.
  ValueFit(std::vector<TrainedLayer> layers, std::int64_t steps_done, const ValueData& data,
           int minibatch, const AdamSettings& adam);

  // Goes once through `order` and writes the layers and their moments.
  void run(ThreadPool& pool) override;
  // Adam steps that the run takes.
  std::int64_t steps() const noexcept;
  // The mean loss of every epoch, each sample's taken before its own step; empty before the run.
  const std::vector<double>& losses() const noexcept { return losses_; }

 private:
  std::vector<TrainedLayer> layers_;
  std::int64_t steps_done_;
  ValueData data_;
  int minibatch_;
  AdamSettings adam_;
  std::vector<double> losses_;
};

}  // namespace admrl
