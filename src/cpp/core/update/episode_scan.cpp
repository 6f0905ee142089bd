#include "core/update/episode_scan.hpp"

#include <algorithm>
#include <vector>

#include "core/check.hpp"

namespace admrl {
namespace {

// Calls visit(begin, end) for every episode; the indices run over the flattened (N, T).
template <class Visit>
void for_each_episode(const Trajectories& shape, Visit visit) {
  for (std::size_t env = 0; env < shape.num_envs; ++env) {
    const std::size_t row = env * shape.horizon;
    std::size_t begin = row;
    for (std::size_t t = 0; t < shape.horizon; ++t) {
      if (!shape.ends(env, t)) continue;
      visit(begin, row + t + 1);
      begin = row + t + 1;
    }
  }
}

}  // namespace

void cross_step_scan(const Trajectories& shape, std::span<const double> weights,
                     std::span<const double> c, double decay, std::span<double> out) {
  const std::size_t steps = checked_steps(shape);
  require_elements("weights", weights.size(), steps);
  require_elements("c", c.size(), steps);
  require_elements("out", out.size(), steps);
  require_fraction("decay", decay);
  for_each_episode(shape, [&](std::size_t begin, std::size_t end) {
    double before = 0.0;
    for (std::size_t i = begin; i < end; ++i) {
      out[i] = weights[i] * (c[i] + before);
      before = decay * (before + c[i]);
    }
    double after = 0.0;
    for (std::size_t i = end; i-- > begin;) {
      out[i] += after;
      after = decay * (after + weights[i] * c[i]);
    }
  });
}

void episode_sum_scan(const Trajectories& shape, std::span<const double> weights,
                      std::span<const double> c, std::span<double> out) {
  const std::size_t steps = checked_steps(shape);
  require_elements("weights", weights.size(), steps);
  require_elements("c", c.size(), steps);
  require_elements("out", out.size(), steps);
  for_each_episode(shape, [&](std::size_t begin, std::size_t end) {
    double sum = 0.0;
    for (std::size_t i = begin; i < end; ++i) sum += c[i];
    for (std::size_t i = begin; i < end; ++i) out[i] = weights[i] * sum;
  });
}

void centre_by_age(const Trajectories& shape, std::size_t columns, std::span<const float> x,
                   std::span<double> out) {
  const std::size_t steps = checked_steps(shape);
  require_elements("x", x.size(), steps * columns);
  require_elements("out", out.size(), steps * columns);
  std::vector<double> count(shape.horizon, 0.0), sums(shape.horizon * columns, 0.0);
  std::vector<double> total(columns, 0.0), own(columns);
  for_each_episode(shape, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      count[i - begin] += 1.0;
      for (std::size_t k = 0; k < columns; ++k) {
        const double value = static_cast<double>(x[i * columns + k]);
        sums[(i - begin) * columns + k] += value;
        total[k] += value;
      }
    }
  });
  for_each_episode(shape, [&](std::size_t begin, std::size_t end) {
    std::fill(own.begin(), own.end(), 0.0);
    for (std::size_t i = begin * columns; i < end * columns; ++i) {
      own[i % columns] += static_cast<double>(x[i]);
    }
    const double others = static_cast<double>(steps - (end - begin));  // samples, not episodes
    for (std::size_t i = begin; i < end; ++i) {
      const double n = count[i - begin];
      for (std::size_t k = 0; k < columns; ++k) {
        const double value = static_cast<double>(x[i * columns + k]);
        double baseline = 0.0;
        if (n > 1.0) {
          baseline = (sums[(i - begin) * columns + k] - value) / (n - 1.0);
        } else if (others > 0.0) {
          baseline = (total[k] - own[k]) / others;
        }
        out[i * columns + k] = value - baseline;
      }
    }
  });
}

}  // namespace admrl
