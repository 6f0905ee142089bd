// Trust region policy optimisation (Schulman et al. 2015, Appendix C): one update of a Gaussian
// policy from one batch of samples.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/network/layers.hpp"
#include "core/threads/job.hpp"
#include "core/update/policy_batch.hpp"

namespace admrl {

struct TrpoSettings {
  double max_kl = 0.01;
  int cg_iterations = 10;
  double fisher_damping = 0.1;
  int line_search_steps = 10;
  double line_search_decay = 0.5;
  double kl_tolerance = 1.5;
  double entropy_coefficient = 0.005;
};

struct TrpoResult {
  double kl = 0.0;             // mean KL(old || new), nats
  double improvement = 0.0;    // of the surrogate
  double entropy = 0.0;        // of the new policy, nats
  int line_search_steps = -1;  // halvings made; -1: no step was accepted, nothing is written
};

// maximise  E[pi(a|s) / pi_old(a|s) A] + c entropy(pi)   subject to   E[KL(pi_old || pi)] <= max_kl
//
// along the natural gradient, with a line search. As python/admrl_native/training/trpo.py.
class TrpoUpdate : public Job {
 public:
  // All views are borrowed until the object goes; layers and log_std (A) are read and written by
  // `run`. Raises InvalidInput for layers that do not chain, samples that PolicyBatch refuses, a
  // log_std that is not finite, or settings out of range.
  TrpoUpdate(std::vector<WritableLayer> layers, std::span<float> log_std,
             const PolicySamples& samples, const TrpoSettings& settings);

  // One update from the parameters as they are now. Raises InvalidInput if their gradient is not
  // finite, SolverError if a Fisher product is not. Either way nothing is written.
  void run(ThreadPool& pool) override;
  // Of the last run; nothing before the first.
  const std::optional<TrpoResult>& result() const noexcept { return result_; }

  std::size_t num_params() const noexcept { return batch_.num_params(); }
  // The gradient of the objective and the undamped product F v at the parameters as they are now.
  std::vector<double> gradient(ThreadPool& pool);
  std::vector<double> fisher_product(ThreadPool& pool, std::span<const double> v);

 private:
  std::vector<float> read_params() const;
  void write_params(std::span<const float> theta) const;
  // Of the entropy, all that depends on theta.
  double sum_of_log_std(std::span<const float> theta) const;
  double entropy(std::span<const float> theta) const;
  // Makes theta the old policy; the gradient of the objective there.
  std::vector<double> linearise(ThreadPool& pool, std::span<const float> theta);
  TrpoResult update(ThreadPool& pool);
  TrpoResult line_search(ThreadPool& pool, std::span<const float> theta,
                         std::span<const double> step);

  std::vector<WritableLayer> layers_;
  std::span<float> log_std_;
  TrpoSettings settings_;
  PolicyBatch batch_;
  std::optional<TrpoResult> result_;
};

}  // namespace admrl
