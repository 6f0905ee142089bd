#include "core/environment/joints.hpp"

#include <algorithm>
#include <cmath>

namespace admrl {

namespace {

// Turns a unit quaternion back to at most this angle from the identity.
void limit_angle(mjtNum* quaternion, double largest) noexcept {
  const double length = std::hypot(quaternion[1], quaternion[2], quaternion[3]);
  // The same turn the short way round.
  const double sign = quaternion[0] < 0.0 ? -1.0 : 1.0;
  const double angle = 2.0 * std::atan2(length, sign * quaternion[0]);
  if (angle <= largest) return;
  const double scale = sign * std::sin(0.5 * largest) / length;
  quaternion[0] = std::cos(0.5 * largest);
  for (int i = 1; i < 4; ++i) quaternion[i] *= scale;
}

}  // namespace

int dof_of(const mjModel* m, int qpos) noexcept {
  for (int j = 0; j < static_cast<int>(m->njnt); ++j) {
    const int first = m->jnt_qposadr[j];
    const int type = m->jnt_type[j];
    const int linear = type == mjJNT_FREE ? 3 : (type == mjJNT_BALL ? 0 : 1);
    if (qpos >= first && qpos < first + linear) return m->jnt_dofadr[j] + qpos - first;
  }
  return -1;
}

void obey_joints(const mjModel* m, bool within_limits, mjtNum* qpos) noexcept {
  for (int j = 0; j < static_cast<int>(m->njnt); ++j) {
    mjtNum* q = qpos + m->jnt_qposadr[j];
    const int type = m->jnt_type[j];
    if (type == mjJNT_FREE) mju_normalize4(q + 3);
    if (type == mjJNT_BALL) mju_normalize4(q);
    if (!within_limits || m->jnt_limited[j] == 0) continue;
    const mjtNum* range = m->jnt_range + 2 * j;
    if (type == mjJNT_BALL) limit_angle(q, range[1]);
    if (type == mjJNT_HINGE || type == mjJNT_SLIDE) *q = std::clamp(*q, range[0], range[1]);
  }
}

}  // namespace admrl
