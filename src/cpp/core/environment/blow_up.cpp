#include "core/environment/blow_up.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace admrl {

namespace {

constexpr int kBadState[] = {mjWARN_BADQPOS, mjWARN_BADQVEL, mjWARN_BADQACC};
constexpr double kFullTurn = 2.0 * std::numbers::pi;

bool is_sound(const mjtNum* x, int size) noexcept {
  return std::none_of(x, x + size, [](mjtNum v) { return mju_isBad(v) != 0; });
}

}  // namespace

BlowUpWatch::BlowUpWatch(const mjModel* m) {
  const double dt = m->opt.timestep;
  for (int i = 0; i < static_cast<int>(m->nv); ++i) {
    const int joint = m->dof_jntid[i];
    const int type = m->jnt_type[joint];
    const bool moves = type == mjJNT_SLIDE || (type == mjJNT_FREE && i < m->jnt_dofadr[joint] + 3);
    largest_jump_.push_back((moves ? m->stat.extent : kFullTurn) / dt);
  }
}

bool BlowUpWatch::advance(const mjModel* m, mjData* d, int num_steps,
                          mjtNum* scratch) const noexcept {
  const int nv = static_cast<int>(m->nv);
  // MuJoCo prints a warning whose count is 0.
  for (const int w : kBadState) d->warning[w].number = 1;
  for (int k = 0; k < num_steps; ++k) {
    std::copy_n(d->qvel, nv, scratch);
    mj_step(m, d);
    bool sound = std::all_of(std::begin(kBadState), std::end(kBadState),
                             [d](int w) { return d->warning[w].number == 1; });
    for (int i = 0; i < nv; ++i) {
      sound &= std::abs(d->qvel[i] - scratch[i]) <= largest_jump_[static_cast<std::size_t>(i)];
    }
    if (!sound || !is_sound(d->qpos, static_cast<int>(m->nq)) || !is_sound(d->qvel, nv)) {
      return false;
    }
  }
  return true;
}

}  // namespace admrl
