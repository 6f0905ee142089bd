#include "core/environment/environment.hpp"

#include <utility>

#include "core/check.hpp"
#include "core/environment/joints.hpp"
#include "core/environment/random.hpp"

namespace admrl {

Environment::Environment(FamilySpec spec, const EnvironmentOptions& options)
    : spec_(std::move(spec)), options_(options) {
  require_at_least_one("frame_skip", options.frame_skip);
  require_at_least_one("horizon", options.horizon);
  require_not_negative("position_noise", options.position_noise);
  require_not_negative("velocity_noise", options.velocity_noise);
  loaded_ = load_model(options.model_path, options.halve_margins);
  action_seconds_ = options.frame_skip * model()->opt.timestep;
  watch_ = BlowUpWatch(model());
  match_family();
}

void Environment::match_family() {
  const mjModel* m = model();
  const int act_dim = spec_.act_dim();
  require(m->nu == act_dim, "act_dim: expected ", m->nu, ", the actuators of ", options_.model_path,
          ", got ", act_dim);
  for (int i = 0; i < act_dim; ++i) {
    require(m->actuator_ctrllimited[i] != 0, "model: actuator ", i, " of ", options_.model_path,
            " has no ctrlrange");
    const mjtNum low = m->actuator_ctrlrange[2 * i];
    const mjtNum high = m->actuator_ctrlrange[2 * i + 1];
    control_middle_.push_back(0.5 * (low + high));
    control_half_.push_back(0.5 * (high - low));
  }
  for (const ObsBlock& block : spec_.declaration().obs_blocks) {
    const bool velocity = block.source == ObsSource::kQvel;
    const int size = static_cast<int>(velocity ? m->nv : m->nq);
    require(block.stop <= size, "obs_blocks: expected stop <= ", size, ", the size of ",
            velocity ? "qvel" : "qpos", " of ", options_.model_path, ", got ", block.stop);
    if (block.source != ObsSource::kQposRate) continue;
    for (int i = block.start; i < block.stop; ++i) {
      const int dof = dof_of(m, i);
      require(dof >= 0, "obs_blocks: qpos[", i, "] of ", options_.model_path,
              " belongs to a quaternion, which has no rate");
      rates_.push_back({i, dof});
    }
  }
}

void Environment::begin(std::uint64_t seed, int env, std::uint32_t episode, mjtNum* qpos,
                        mjtNum* qvel, double* rates, double* obs) const noexcept {
  const auto nq = static_cast<std::size_t>(model()->nq);
  const auto nv = static_cast<std::size_t>(model()->nv);
  const auto e = static_cast<std::uint32_t>(env);
  fill_uniform({seed, e, episode, Purpose::kResetPosition}, {qpos, nq});
  fill_normal({seed, e, episode, Purpose::kResetVelocity}, {qvel, nv});
  for (std::size_t i = 0; i < nq; ++i) {
    qpos[i] = model()->qpos0[i] + options_.position_noise * (2.0 * qpos[i] - 1.0);
  }
  obey_joints(model(), options_.reset_within_limits, qpos);
  for (std::size_t i = 0; i < nv; ++i) qvel[i] *= options_.velocity_noise;
  for (std::size_t k = 0; k < rates_.size(); ++k) rates[k] = qvel[rates_[k].dof];
  observe(qpos, qvel, rates, obs);
}

void Environment::set_action(mjData* d, const float* action, double* rates) const noexcept {
  for (std::size_t i = 0; i < control_half_.size(); ++i) {
    d->ctrl[i] = control_middle_[i] + control_half_[i] * clipped_action(action[i]);
  }
  for (std::size_t k = 0; k < rates_.size(); ++k) rates[k] = d->qpos[rates_[k].qpos];
}

void Environment::observe(const mjData* d, double* rates, double* obs) const noexcept {
  for (std::size_t k = 0; k < rates_.size(); ++k) {
    rates[k] = (d->qpos[rates_[k].qpos] - rates[k]) / action_seconds_;
  }
  observe(d->qpos, d->qvel, rates, obs);
}

void Environment::observe(const mjtNum* qpos, const mjtNum* qvel, const double* rates,
                          double* out) const noexcept {
  for (const ObsBlock& block : spec_.declaration().obs_blocks) {
    const int size = block.stop - block.start;
    const double* values = nullptr;
    switch (block.source) {
      case ObsSource::kQpos:
        values = qpos + block.start;
        break;
      case ObsSource::kQvel:
        values = qvel + block.start;
        break;
      case ObsSource::kQposRate:
        values = rates;
        rates += size;
        break;
    }
    for (int i = 0; i < size; ++i) {
      // Written so that not-a-number stays.
      const double v = values[i];
      out[i] = v > block.clip ? block.clip : (v < -block.clip ? -block.clip : v);
    }
    out += size;
  }
}

}  // namespace admrl
