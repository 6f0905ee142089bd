#include "core/environment/family.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include "core/check.hpp"

namespace admrl {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void require_size(const std::vector<double>& values, std::size_t expected, const char* name) {
  require(values.size() == expected, name, ": expected (K=", expected, ",) values, got ",
          values.size());
  require_finite<InvalidInput>(name, std::span(values));
}

void require_index(int index, int obs_dim, const char* name) {
  require(index >= 0 && index < obs_dim, name, ": expected an index in [0, ", obs_dim, "), got ",
          index);
}

}  // namespace

FamilySpec::FamilySpec(FamilyDeclaration declaration) : declaration_(std::move(declaration)) {
  const FamilyDeclaration& d = declaration_;
  require_at_least_one("act_dim", d.act_dim);
  require(!d.obs_blocks.empty(), "obs_blocks: expected at least one");
  for (const ObsBlock& block : d.obs_blocks) {
    require(block.start >= 0 && block.stop > block.start,
            "obs_blocks: expected 0 <= start < stop, got ", block.start, " and ", block.stop);
    require(block.clip > 0.0, "obs_blocks: expected a positive clip");
    obs_dim_ += block.stop - block.start;
  }
  require(!d.features.empty(), "features: expected at least one");
  for (const int f : d.features) require_index(f, obs_dim_, "features");
  require_size(d.coefficients, d.features.size(), "coefficients");
  require_size(d.offset, d.features.size(), "offset");
  require_size(d.scale, d.features.size(), "scale");
  for (const double s : d.scale) require(s > 0.0, "scale: expected positive values");
  require(std::isfinite(d.control_cost) && std::isfinite(d.bonus),
          "control_cost and bonus: expected finite values");
  for (const HealthyRange& range : d.healthy) {
    require(range.low < range.high, "healthy: expected low < high");
    // An open bound is the closed bound at the next number inside, so one comparison serves both.
    const bool open_low = !range.closed && std::isfinite(range.low);
    const bool open_high = !range.closed && std::isfinite(range.high);
    const double low = open_low ? std::nextafter(range.low, kInfinity) : range.low;
    const double high = open_high ? std::nextafter(range.high, -kInfinity) : range.high;
    for (const int index : range.indices) {
      require_index(index, obs_dim_, "healthy");
      bounds_.push_back({index, low, high});
    }
  }
}

bool is_finite(std::span<const double> values) noexcept {
  bool finite = true;
  for (const double v : values) finite &= std::isfinite(static_cast<float>(v));
  return finite;
}

Reward FamilySpec::evaluate(const double* next_obs, const float* action, const double* psi,
                            double* grad) const noexcept {
  const auto task_dim = declaration_.features.size();
  if (!is_finite({next_obs, static_cast<std::size_t>(obs_dim_)})) {
    for (std::size_t j = 0; j < task_dim; ++j) grad[j] = 0.0;
    return {0.0, 0.0, true};
  }
  bool done = false;
  for (const Bound& b : bounds_)
    done |= !(next_obs[b.index] >= b.low && next_obs[b.index] <= b.high);

  double squared = 0.0;
  for (int i = 0; i < declaration_.act_dim; ++i) {
    const double a = clipped_action(action[i]);
    squared += a * a;
  }
  const double base = -declaration_.control_cost * squared + declaration_.bonus;

  const bool linear = declaration_.form == RewardForm::kLinear;
  double task = 0.0;
  for (std::size_t j = 0; j < task_dim; ++j) {
    const double f =
        (next_obs[declaration_.features[j]] - declaration_.offset[j]) / declaration_.scale[j];
    const double c = declaration_.coefficients[j];
    if (linear) {
      grad[j] = c * f;
      task += psi[j] * grad[j];
    } else {
      const double gap = f - psi[j];
      grad[j] = gap > 0.0 ? c : (gap < 0.0 ? -c : 0.0);
      task -= c * std::abs(gap);
    }
  }
  return {task + base, base, done};
}

}  // namespace admrl
