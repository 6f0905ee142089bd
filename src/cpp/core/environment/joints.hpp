// What a model says of its joints: which entry of qpos moves with which velocity, and what a
// configuration has to obey.
#pragma once

#include <mujoco/mujoco.h>

namespace admrl {

// The degree of freedom whose velocity is the rate of this entry of qpos; -1 for a quaternion's.
int dof_of(const mjModel* m, int qpos) noexcept;

// Makes qpos (nq) obey the model: quaternions of unit length and, if asked, limited joints inside
// their range (hinge, slide: the nearer end of it; ball: the largest angle about the same axis).
void obey_joints(const mjModel* m, bool within_limits, mjtNum* qpos) noexcept;

}  // namespace admrl
