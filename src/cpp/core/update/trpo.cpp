#include "core/update/trpo.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include "core/check.hpp"
#include "core/solve/krylov.hpp"

namespace admrl {
namespace {

void check_settings(const TrpoSettings& s) {
  require(std::isfinite(s.max_kl) && s.max_kl > 0.0, "max_kl: expected a finite number > 0, got ",
          s.max_kl);
  require_at_least_one("cg_iterations", s.cg_iterations);
  require_not_negative("fisher_damping", s.fisher_damping);
  require_at_least_one("line_search_steps", s.line_search_steps);
  require(s.line_search_decay > 0.0 && s.line_search_decay <= 1.0,
          "line_search_decay: expected a number in (0, 1], got ", s.line_search_decay);
  require(std::isfinite(s.kl_tolerance) && s.kl_tolerance >= 1.0,
          "kl_tolerance: expected a finite number >= 1, got ", s.kl_tolerance);
  require_not_negative("entropy_coefficient", s.entropy_coefficient);
}

std::vector<int> policy_sizes(std::span<const WritableLayer> layers,
                              std::span<const float> log_std) {
  const std::vector<int> sizes = sizes_of_chain(layers);
  require_elements("log_std", log_std.size(), to_size(sizes.back()));
  require_finite("log_std", log_std);
  return sizes;
}

}  // namespace

TrpoUpdate::TrpoUpdate(std::vector<WritableLayer> layers, std::span<float> log_std,
                       const PolicySamples& samples, const TrpoSettings& settings)
    : layers_(std::move(layers)),
      log_std_(log_std),
      settings_(settings),
      batch_(policy_sizes(layers_, log_std), samples) {
  check_settings(settings);
}

std::vector<float> TrpoUpdate::read_params() const {
  std::vector<float> theta = parameters_of(layers_);
  theta.insert(theta.end(), log_std_.begin(), log_std_.end());
  return theta;
}

void TrpoUpdate::write_params(std::span<const float> theta) const {
  const float* from = theta.data();
  for (const WritableLayer& l : layers_) {
    std::copy_n(from, l.num_weights(), l.weight);
    from += l.num_weights();
    std::copy_n(from, l.out, l.bias);
    from += l.out;
  }
  std::copy_n(from, log_std_.size(), log_std_.begin());
}

double TrpoUpdate::sum_of_log_std(std::span<const float> theta) const {
  const auto log_std = theta.last(log_std_.size());
  return std::accumulate(log_std.begin(), log_std.end(), 0.0);
}

double TrpoUpdate::entropy(std::span<const float> theta) const {
  const double of_unit_variance = 0.5 + 0.5 * std::log(2.0 * std::numbers::pi);
  return sum_of_log_std(theta) + of_unit_variance * static_cast<double>(log_std_.size());
}

std::vector<double> TrpoUpdate::gradient(ThreadPool& pool) {
  return linearise(pool, read_params());
}

std::vector<double> TrpoUpdate::linearise(ThreadPool& pool, std::span<const float> theta) {
  std::vector<double> gradient(batch_.num_params());
  batch_.linearise(pool, theta, gradient);
  for (double& g : std::span(gradient).last(log_std_.size())) g += settings_.entropy_coefficient;
  return gradient;
}

std::vector<double> TrpoUpdate::fisher_product(ThreadPool& pool, std::span<const double> v) {
  linearise(pool, read_params());
  std::vector<double> product(batch_.num_params());
  batch_.fisher_product(pool, v, product);
  return product;
}

void TrpoUpdate::run(ThreadPool& pool) { result_ = update(pool); }

TrpoResult TrpoUpdate::update(ThreadPool& pool) {
  const std::vector<float> theta = read_params();
  const std::vector<double> b = linearise(pool, theta);
  require<NotFinite>(
      std::all_of(b.begin(), b.end(), [](double g) { return std::isfinite(g); }),
      "obs, actions, layers: expected finite values, got a policy gradient that is not finite");

  const auto damped_fisher = [&](std::span<const double> v, std::span<double> product) {
    batch_.fisher_product(pool, v, product);
    for (std::size_t i = 0; i < v.size(); ++i) product[i] += settings_.fisher_damping * v[i];
  };
  KrylovResult found = solve_symmetric(damped_fisher, b,
                                       {.method = KrylovMethod::cg,
                                        .damping = 0.0,
                                        .max_iterations = settings_.cg_iterations,
                                        .tolerance = 1e-10});
  Vector& direction = found.solution;
  if (!(found.curvature > 0.0)) return {0.0, 0.0, entropy(theta), -1};  // a zero gradient
  const double length = std::sqrt(2.0 * settings_.max_kl / found.curvature);
  for (double& d : direction) d *= length;
  return line_search(pool, theta, direction);
}

TrpoResult TrpoUpdate::line_search(ThreadPool& pool, std::span<const float> theta,
                                   std::span<const double> step) {
  std::vector<float> candidate(theta.size());
  double fraction = 1.0;
  for (int halvings = 0; halvings < settings_.line_search_steps; ++halvings) {
    for (std::size_t i = 0; i < theta.size(); ++i) {
      candidate[i] = static_cast<float>(static_cast<double>(theta[i]) + fraction * step[i]);
    }
    const auto [surrogate, kl] = batch_.evaluate(pool, candidate);
    const double gain =
        surrogate - batch_.old_surrogate() +
        settings_.entropy_coefficient * (sum_of_log_std(candidate) - sum_of_log_std(theta));
    if (kl <= settings_.kl_tolerance * settings_.max_kl && gain >= 0.0) {
      write_params(candidate);
      return {kl, gain, entropy(candidate), halvings};
    }
    fraction *= settings_.line_search_decay;
  }
  return {0.0, 0.0, entropy(theta), -1};
}

}  // namespace admrl
