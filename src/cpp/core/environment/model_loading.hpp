// MuJoCo models from XML files, loaded without a word on the console.
#pragma once

#include <mujoco/mujoco.h>

#include <memory>
#include <string>

namespace admrl {

struct ModelDeleter {
  void operator()(mjModel* m) const noexcept { mj_deleteModel(m); }
};

struct LoadedModel {
  std::unique_ptr<mjModel, ModelDeleter> model;
  std::string warning;  // MuJoCo's, in one line, or ""
};

// Loads a model.
//
// What MuJoCo would print or write to its log file about it is in `warning` instead: for that the
// process's log handler is another one while the call lasts, which passes on what other threads
// say; afterwards it is what it was. MuJoCo's log configuration is never touched.
// Raises InvalidInput with MuJoCo's own message if the XML does not load, or if it enables what a
// batch of simulations cannot have.
LoadedModel load_model(const std::string& path, bool halve_margins);

// MuJoCo's messages run over several lines; ours are one.
std::string one_line(std::string text);

}  // namespace admrl
