// A Gaussian policy on one batch of samples: the surrogate of TRPO, its gradient, Fisher products.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/network/aligned.hpp"
#include "core/network/lane_mlp.hpp"
#include "core/threads/loans.hpp"
#include "core/threads/thread_pool.hpp"

namespace admrl {

// M samples, borrowed. The policy's mean is a network of (obs - obs_mean) / obs_std.
struct PolicySamples {
  std::span<const float> obs;         // (M, D)
  std::span<const float> actions;     // (M, A)
  std::span<const float> advantages;  // (M)
  std::span<const float> obs_mean;    // (D)
  std::span<const float> obs_std;     // (D)
};

// theta (P) is one vector: weight (out, in) and bias (out) of every layer, then log_std (A).
//
// The samples are cut into parts, however many threads there are, and a sum over samples is the sum
// over the parts, in order and in double: so the bits do not depend on the threads. No call but the
// constructor and the first of each pool size allocates.
class PolicyBatch {
 public:
  // sizes: D, hidden ..., A. Raises InvalidInput unless the samples fit them and one another, are
  // two at least, their advantages, obs_mean and obs_std are finite and obs_std is positive.
  PolicyBatch(std::span<const int> sizes, const PolicySamples& samples);

  std::size_t num_params() const noexcept { return mlp_.num_params() + act_dim(); }

  // Makes theta the old policy, keeps its activations, and gives the gradient of the surrogate
  // E[pi(a|s) / pi_old(a|s) A(s, a)] there. A: the advantages less their mean, over their standard
  // deviation.
  void linearise(ThreadPool& pool, std::span<const float> theta, std::span<double> gradient);

  // product = F v, F the Hessian of the mean KL divergence from the old policy in Gauss-Newton
  // form: E[J' Sigma^-1 J] for the parameters of the mean, 2 for log_std. v is rounded to float32.
  void fisher_product(ThreadPool& pool, std::span<const double> v, std::span<double> product);

  struct Value {
    double surrogate;
    double kl;  // mean KL(old || theta), nats
  };
  Value evaluate(ThreadPool& pool, std::span<const float> theta);
  // The surrogate of the old policy itself: the mean of the standardised advantages.
  double old_surrogate() const noexcept { return old_surrogate_; }

 private:
  // Consecutive panels of samples.
  struct Part {
    Part(const LaneMlp& mlp, int first_panel, int num_panels);
    int first, panels;
    LaneMlp::Kept kept;
    LaneBuffer actions, old_mean;  // (panels, A, panel)
    std::vector<double> sums;      // (P)
    Value value{};                 // sums over samples, too
  };
  // Some panels of a part: few enough for what is computed from them to stay in cache.
  struct Block {
    int first, panels;  // counted within the part
  };
  // Of one thread.
  struct Buffers {
    LaneScratch scratch;
    LaneBuffer output;               // (panels of a block, A, panel)
    LaneBuffer gradient;             // (gradient_size)
    std::vector<float> log_std_sum;  // (A, panel)
  };

  std::size_t act_dim() const noexcept { return static_cast<std::size_t>(mlp_.out_dim()); }
  std::size_t panel() const noexcept { return static_cast<std::size_t>(mlp_.panel()); }
  std::size_t num_samples() const noexcept { return samples_.advantages.size(); }
  // Of the panel of a part: the number of its first sample.
  std::size_t sample(const Part& part, int p) const noexcept {
    return static_cast<std::size_t>(part.first + p) * panel();
  }

  void check() const;
  void standardise();
  void reserve(const ThreadPool& pool);
  void read(const Part& part, const Block& block) const;
  void surrogate_cotangent(const Part& part, const Block& block, float* output,
                           std::vector<float>& log_std_sum) const;
  void clear_padding(const Part& part, const Block& block, float* output) const;
  void add_value(Part& part, const Block& block, const float* mean) const;
  // Runs piece(part, block, buffers) over all blocks, begin(part, buffers) before and
  // end(part, buffers) after those of a part.
  template <class Begin, class Piece, class End>
  void for_parts(ThreadPool& pool, const Begin& begin, const Piece& piece, const End& end);
  void add_up(std::span<double> out) const;

  LaneMlp mlp_;
  PolicySamples samples_;
  std::vector<float> weights_;  // (panels of all parts * panel): A(s, a), then zeros
  std::vector<Part> parts_;
  std::unique_ptr<Loans<Buffers>> buffers_;
  std::vector<float> theta_;            // the old policy's
  std::vector<float> scaled_;           // theta_, rows of the last layer times precision_
  std::vector<float> precision_;        // (A) 1 / (M variance)
  std::vector<float> old_inverse_std_;  // (A)
  std::vector<float> inverse_std_;      // (A) of the policy that is evaluated
  std::vector<float> direction_;        // (P)
  float log_ratio_start_ = 0.0f;
  double old_surrogate_ = 0.0;
};

}  // namespace admrl
