#include "core/update/policy_batch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>

#include "core/check.hpp"

namespace admrl {
namespace {

constexpr int kParts = 16;  // more than threads: who is held up does fewer of them
constexpr int kBlock = 5;   // panels

}  // namespace

PolicyBatch::Part::Part(const LaneMlp& mlp, int first_panel, int num_panels)
    : first(first_panel),
      panels(num_panels),
      kept(mlp, num_panels),
      actions(to_size(num_panels) * to_size(mlp.out_dim()) * to_size(mlp.panel())),
      old_mean(to_size(num_panels) * to_size(mlp.out_dim()) * to_size(mlp.panel())),
      sums(mlp.num_params() + to_size(mlp.out_dim())) {}

PolicyBatch::PolicyBatch(std::span<const int> sizes, const PolicySamples& samples)
    : mlp_(sizes), samples_(samples) {
  check();
  standardise();
  const int panels = static_cast<int>(weights_.size() / panel());
  const int parts = std::min(kParts, panels);
  for (int i = 0; i < parts; ++i) {
    const int first = panels * i / parts;
    parts_.emplace_back(mlp_, first, panels * (i + 1) / parts - first);
  }
  for (auto* per_action : {&precision_, &old_inverse_std_, &inverse_std_}) {
    per_action->resize(act_dim());
  }
  theta_.resize(num_params());
  direction_.resize(num_params());
  scaled_.resize(mlp_.num_params());
}

void PolicyBatch::check() const {
  const std::size_t m = num_samples();
  require(m >= 2, "advantages: expected at least 2 samples, got ", m);
  require_elements("obs", samples_.obs.size(), m * to_size(mlp_.in_dim()));
  require_elements("actions", samples_.actions.size(), m * act_dim());
  require_elements("obs_mean", samples_.obs_mean.size(), to_size(mlp_.in_dim()));
  require_elements("obs_std", samples_.obs_std.size(), to_size(mlp_.in_dim()));
  require_finite("advantages", samples_.advantages);
  require_finite("obs_mean", samples_.obs_mean);
  require_finite("obs_std", samples_.obs_std);
  require_positive("obs_std", samples_.obs_std);
}

void PolicyBatch::standardise() {
  const auto m = static_cast<double>(num_samples());
  const auto advantages = samples_.advantages;
  const double mean = std::accumulate(advantages.begin(), advantages.end(), 0.0) / m;
  double squares = 0.0;
  for (const float a : advantages) {
    const double distance = static_cast<double>(a) - mean;
    squares += distance * distance;
  }
  const double scale = 1.0 / (std::sqrt(squares / (m - 1.0)) + 1e-8);
  weights_.assign((num_samples() + panel() - 1) / panel() * panel(), 0.0f);
  for (std::size_t i = 0; i < num_samples(); ++i) {
    weights_[i] = static_cast<float>((static_cast<double>(advantages[i]) - mean) * scale);
    old_surrogate_ += static_cast<double>(weights_[i]);
  }
  old_surrogate_ /= m;
}

void PolicyBatch::reserve(const ThreadPool& pool) {
  if (buffers_ && buffers_->count() >= pool.num_threads()) return;
  buffers_ = std::make_unique<Loans<Buffers>>(pool.num_threads(), [this] {
    return Buffers{mlp_.scratch(kBlock), LaneBuffer(kBlock * act_dim() * panel()),
                   LaneBuffer(mlp_.gradient_size()), std::vector<float>(act_dim() * panel())};
  });
}

template <class Begin, class Piece, class End>
void PolicyBatch::for_parts(ThreadPool& pool, const Begin& begin, const Piece& piece,
                            const End& end) {
  reserve(pool);
  pool.for_each(static_cast<int>(parts_.size()), [&](int i) {
    Part& part = parts_[to_size(i)];
    const auto buffers = buffers_->take();
    begin(part, *buffers);
    for (int first = 0; first < part.panels; first += kBlock) {
      piece(part, Block{first, std::min(kBlock, part.panels - first)}, *buffers);
    }
    end(part, *buffers);
  });
}

// out (P) = the sums of all parts.
void PolicyBatch::add_up(std::span<double> out) const {
  std::fill(out.begin(), out.end(), 0.0);
  for (const Part& part : parts_) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += part.sums[i];
  }
}

// Observations, normalised, and actions, into lanes.
void PolicyBatch::read(const Part& part, const Block& block) const {
  const std::size_t first = sample(part, block.first);
  const std::size_t in = to_size(mlp_.in_dim()), out = act_dim();
  const std::size_t count = std::min(num_samples() - first, to_size(block.panels) * panel());
  mlp_.read(samples_.obs.data() + first * in, static_cast<int>(count), samples_.obs_mean,
            samples_.obs_std, block.panels, part.kept.lanes(0, block.first));
  float* actions = part.actions.data() + to_size(block.first) * out * panel();
  std::fill_n(actions, to_size(block.panels) * out * panel(), 0.0f);
  const float* from = samples_.actions.data() + first * out;
  for (std::size_t s = 0; s < count; ++s) {
    float* to = actions + s / panel() * out * panel() + s % panel();
    for (std::size_t a = 0; a < out; ++a) to[a * panel()] = *from++;
  }
}

// The derivative of the surrogate in the mean actions, which are in `output`, into `output`; that
// in log_std, times M, is added to log_std_sum.
void PolicyBatch::surrogate_cotangent(const Part& part, const Block& block, float* output,
                                      std::vector<float>& log_std_sum) const {
  const std::size_t width = panel();
  const float* actions = part.actions.data() + to_size(block.first) * act_dim() * width;
  for (int p = 0; p < block.panels; ++p) {
    const float* weights = weights_.data() + sample(part, block.first + p);
    for (std::size_t a = 0; a < act_dim(); ++a, output += width, actions += width) {
      const float inverse_std = old_inverse_std_[a];
      const float scale = inverse_std / static_cast<float>(num_samples());
      float* sum = log_std_sum.data() + a * width;
      for (std::size_t j = 0; j < width; ++j) {
        const float z = (actions[j] - output[j]) * inverse_std;
        output[j] = weights[j] * z * scale;
        sum[j] += weights[j] * (z * z - 1.0f);
      }
    }
  }
}

void PolicyBatch::linearise(ThreadPool& pool, std::span<const float> theta,
                            std::span<double> gradient) {
  const float* log_std = theta.data() + mlp_.num_params();
  std::copy(theta.begin(), theta.end(), theta_.begin());
  std::copy_n(theta.begin(), mlp_.num_params(), scaled_.begin());
  const std::size_t in = (mlp_.last_bias() - mlp_.last_weight()) / act_dim();
  for (std::size_t a = 0; a < act_dim(); ++a) {
    old_inverse_std_[a] = std::exp(-log_std[a]);
    precision_[a] = std::exp(-2.0f * log_std[a]) / static_cast<float>(num_samples());
    float* row = scaled_.data() + mlp_.last_weight() + a * in;
    for (std::size_t i = 0; i < in; ++i) row[i] *= precision_[a];
  }
  const std::size_t block_size = act_dim() * panel();
  for_parts(
      pool,
      [this](Part&, Buffers& b) {
        std::fill_n(b.gradient.data(), mlp_.gradient_size(), 0.0f);
        std::fill(b.log_std_sum.begin(), b.log_std_sum.end(), 0.0f);
      },
      [&](Part& part, const Block& block, Buffers& b) {
        read(part, block);
        mlp_.forward(theta_.data(), part.kept, block.first, block.panels, b.output.data());
        std::copy_n(b.output.data(), to_size(block.panels) * block_size,
                    part.old_mean.data() + to_size(block.first) * block_size);
        surrogate_cotangent(part, block, b.output.data(), b.log_std_sum);
        mlp_.adjoint(theta_.data(), part.kept, block.first, block.panels, b.output.data(),
                     b.scratch, b.gradient.data());
      },
      [&](Part& part, Buffers& b) {
        std::fill(part.sums.begin(), part.sums.end(), 0.0);
        mlp_.add_gradient(b.gradient.data(), part.sums);
        for (std::size_t a = 0; a < act_dim(); ++a) {
          const float* sum = b.log_std_sum.data() + a * panel();
          part.sums[mlp_.num_params() + a] =
              std::accumulate(sum, sum + panel(), 0.0) / static_cast<double>(num_samples());
        }
      });
  add_up(gradient);
}

// Samples past the last have no part in a product.
void PolicyBatch::clear_padding(const Part& part, const Block& block, float* output) const {
  const std::size_t last = sample(part, block.first + block.panels - 1);
  if (last + panel() <= num_samples()) return;
  float* row = output + to_size(block.panels - 1) * act_dim() * panel();
  for (std::size_t a = 0; a < act_dim(); ++a, row += panel()) {
    std::fill(row + (num_samples() - last), row + panel(), 0.0f);
  }
}

void PolicyBatch::fisher_product(ThreadPool& pool, std::span<const double> v,
                                 std::span<double> product) {
  std::transform(v.begin(), v.end(), direction_.begin(),
                 [](double x) { return static_cast<float>(x); });
  for_parts(
      pool,
      [this](Part&, Buffers& b) { std::fill_n(b.gradient.data(), mlp_.gradient_size(), 0.0f); },
      [&](Part& part, const Block& block, Buffers& b) {
        mlp_.tangent(theta_.data(), direction_.data(), part.kept, block.first, block.panels,
                     b.scratch, b.output.data());
        clear_padding(part, block, b.output.data());
        mlp_.adjoint(scaled_.data(), part.kept, block.first, block.panels, b.output.data(),
                     b.scratch, b.gradient.data());
      },
      [&](Part& part, Buffers& b) {
        std::fill(part.sums.begin(), part.sums.end(), 0.0);
        mlp_.add_gradient(b.gradient.data(), part.sums);
      });
  add_up(product);
  // The cotangent of the output is J v times the precision: the layers below had it from their
  // weights, the last one gets it here.
  const std::size_t in = (mlp_.last_bias() - mlp_.last_weight()) / act_dim();
  for (std::size_t a = 0; a < act_dim(); ++a) {
    const auto precision = static_cast<double>(precision_[a]);
    double* row = product.data() + mlp_.last_weight() + a * in;
    for (std::size_t i = 0; i < in; ++i) row[i] *= precision;
    product[mlp_.last_bias() + a] *= precision;
    product[mlp_.num_params() + a] = 2.0 * v[mlp_.num_params() + a];
  }
}

// Adds the surrogate's and the divergence's terms of a block.
void PolicyBatch::add_value(Part& part, const Block& block, const float* mean) const {
  const std::size_t width = panel();
  const std::size_t offset = to_size(block.first) * act_dim() * width;
  const float* actions = part.actions.data() + offset;
  const float* old_mean = part.old_mean.data() + offset;
  std::array<float, kWidestPanel> log_ratio, distance;
  for (int p = 0; p < block.panels; ++p) {
    log_ratio.fill(log_ratio_start_);
    distance.fill(0.0f);
    for (std::size_t a = 0; a < act_dim(); ++a) {
      const float inverse_std = inverse_std_[a], old_inverse_std = old_inverse_std_[a];
      for (std::size_t j = 0; j < width; ++j) {
        const float z = (actions[j] - mean[j]) * inverse_std;
        const float old_z = (actions[j] - old_mean[j]) * old_inverse_std;
        const float shift = (mean[j] - old_mean[j]) * inverse_std;
        log_ratio[j] += 0.5f * (old_z - z) * (old_z + z);
        distance[j] += shift * shift;
      }
      mean += width;
      actions += width;
      old_mean += width;
    }
    const std::size_t first = sample(part, block.first + p);
    const std::size_t count = std::min(width, num_samples() - first);
    for (std::size_t j = 0; j < count; ++j) {
      part.value.surrogate +=
          static_cast<double>(weights_[first + j]) * std::exp(static_cast<double>(log_ratio[j]));
      part.value.kl += 0.5 * static_cast<double>(distance[j]);
    }
  }
}

PolicyBatch::Value PolicyBatch::evaluate(ThreadPool& pool, std::span<const float> theta) {
  double log_ratio = 0.0, kl = 0.0;
  for (std::size_t a = 0; a < act_dim(); ++a) {
    const std::size_t i = mlp_.num_params() + a;
    inverse_std_[a] = std::exp(-theta[i]);
    const double change = static_cast<double>(theta[i]) - static_cast<double>(theta_[i]);
    log_ratio -= change;
    kl += change + 0.5 * std::expm1(-2.0 * change);
  }
  log_ratio_start_ = static_cast<float>(log_ratio);
  for_parts(
      pool, [](Part& part, Buffers&) { part.value = {}; },
      [&](Part& part, const Block& block, Buffers& b) {
        mlp_.forward(theta.data(), part.kept.lanes(0, block.first), block.panels, b.scratch,
                     b.output.data());
        add_value(part, block, b.output.data());
      },
      [](Part&, Buffers&) {});
  Value total{};
  for (const Part& part : parts_) {
    total.surrogate += part.value.surrogate;
    total.kl += part.value.kl;
  }
  const auto m = static_cast<double>(num_samples());
  return {total.surrogate / m, kl + total.kl / m};
}

}  // namespace admrl
