// One robot of a family: how an episode of it begins, what an action does, what is seen of it.
#pragma once

#include <mujoco/mujoco.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/environment/blow_up.hpp"
#include "core/environment/family.hpp"
#include "core/environment/model_loading.hpp"

namespace admrl {

struct EnvironmentOptions {
  std::string model_path;    // MuJoCo XML
  int frame_skip;            // mj_step calls per action
  int horizon;               // steps after which an episode times out
  bool halve_margins;        // halve every geom's margin on load
  bool reset_within_limits;  // noise at reset does not leave the range of a limited joint
  double position_noise;     // half width of the uniform noise on qpos at reset
  double velocity_noise;     // standard deviation of the normal noise on qvel at reset
};

// Holds no state of an episode: thread-safe. Observations are (D) float64; `rates` (num_rates) is
// the caller's, for the entries of an observation that are rates of qpos.
class Environment {
 public:
  // Loads the model.
  // Raises InvalidInput: an option out of range, MuJoCo's own message if the XML does not load, or
  // a family that does not fit the model.
  Environment(FamilySpec spec, const EnvironmentOptions& options);

  const FamilySpec& spec() const noexcept { return spec_; }
  const EnvironmentOptions& options() const noexcept { return options_; }
  const mjModel* model() const noexcept { return loaded_.model.get(); }
  const std::string& load_warning() const noexcept { return loaded_.warning; }  // or ""
  double timestep() const noexcept { return action_seconds_; }                  // of one action, s
  int num_rates() const noexcept { return static_cast<int>(rates_.size()); }

  // Draws the state, qpos (nq) and qvel (nv), in which an episode begins, and what is seen of it.
  void begin(std::uint64_t seed, int env, std::uint32_t episode, mjtNum* qpos, mjtNum* qvel,
             double* rates, double* obs) const noexcept;

  // One action (A), in three steps: what it sets, and the positions before it into `rates`; the
  // physics, which may raise, scratch (nv), whether the state is sound; what is seen afterwards.
  void set_action(mjData* d, const float* action, double* rates) const noexcept;
  bool advance(const mjModel* m, mjData* d, mjtNum* scratch) const noexcept {
    return watch_.advance(m, d, options_.frame_skip, scratch);
  }
  void observe(const mjData* d, double* rates, double* obs) const noexcept;

 private:
  // An entry of the observation that is a rate of qpos.
  struct Rate {
    int qpos;
    int dof;
  };

  void match_family();
  void observe(const mjtNum* qpos, const mjtNum* qvel, const double* rates,
               double* obs) const noexcept;

  FamilySpec spec_;
  EnvironmentOptions options_;
  LoadedModel loaded_;
  BlowUpWatch watch_;
  double action_seconds_ = 0.0;
  std::vector<double> control_middle_, control_half_;  // (A)
  std::vector<Rate> rates_;
};

}  // namespace admrl
