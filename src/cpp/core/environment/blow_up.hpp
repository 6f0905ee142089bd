// When a simulation has blown up: the one place that says so.
//
// A physics step is sound unless
//   - MuJoCo raised one of its bad-state warnings in it (qpos, qvel or qacc not finite or beyond
//     mjMAXVAL = 1e10), or would at the next one; or
//   - a velocity jumped so far that the jump alone turns a joint by more than a full turn, or moves
//     it by more than the size of the model (mjModel.stat.extent), until the next step: no
//     integrator resolves that. gymnasium's and Adroit's robots stay below 0.5 rad and 0.06 sizes
//     under random and bang-bang actions; a Fetch arm that starts against its weld jumps by 130 rad
//     and more.
#pragma once

#include <mujoco/mujoco.h>

#include <vector>

namespace admrl {

class BlowUpWatch {
 public:
  BlowUpWatch() = default;
  explicit BlowUpWatch(const mjModel* m);

  // Up to num_steps calls of mj_step; stops behind one that was not sound and returns false.
  // MuJoCo does not print what it is asked about here. scratch (nv).
  bool advance(const mjModel* m, mjData* d, int num_steps, mjtNum* scratch) const noexcept;

 private:
  std::vector<mjtNum> largest_jump_;  // (nv) of a velocity in one step
};

}  // namespace admrl
