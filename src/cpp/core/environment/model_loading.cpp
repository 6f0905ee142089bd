#include "core/environment/model_loading.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "core/error.hpp"

namespace admrl {

namespace {

// While it lives, this thread's warnings are dropped: loading a model returns them as text as well.
class QuietLoading {
 public:
  QuietLoading() : held_(mutex()) {
    in_this_thread = true;
    const mjfLogHandler before = mju_setLogHandler(&handle);
    if (before != &handle) previous = before;
  }
  ~QuietLoading() {
    const mjfLogHandler now = mju_setLogHandler(previous);
    if (now != &handle) mju_setLogHandler(now);  // somebody set another one meanwhile: it stays
    in_this_thread = false;
  }
  QuietLoading(const QuietLoading&) = delete;
  QuietLoading& operator=(const QuietLoading&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  static void handle(const mjLogMessage* message) {
    if (in_this_thread && message->level <= mjLOG_WARNING) return;
    if (const mjfLogHandler others = previous) others(message);
  }

  static thread_local bool in_this_thread;
  static std::atomic<mjfLogHandler> previous;  // stays: a message may be on its way through it

  std::lock_guard<std::mutex> held_;
};

thread_local bool QuietLoading::in_this_thread = false;
std::atomic<mjfLogHandler> QuietLoading::previous{nullptr};

}  // namespace

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

LoadedModel load_model(const std::string& path, bool halve_margins) {
  std::array<char, 1024> error{};
  LoadedModel loaded;
  {
    const QuietLoading quiet;
    loaded.model.reset(
        mj_loadXML(path.c_str(), nullptr, error.data(), static_cast<int>(error.size())));
  }
  if (loaded.model == nullptr) {
    throw InvalidInput("model: cannot load " + path + ": " + one_line(error.data()));
  }
  loaded.warning = one_line(error.data());
  mjModel* m = loaded.model.get();
  if ((m->opt.enableflags & mjENBL_SLEEP) != 0) {
    throw InvalidInput(
        "model: expected one that never sleeps, as an episode begins and ends with "
        "its state alone, got sleeping enabled in " +
        path + "; remove sleep=\"enable\" from <option><flag/></option>");
  }
  // A state that blew up ends the episode; it must not be replaced behind our back.
  m->opt.disableflags |= mjDSBL_AUTORESET;
  if (halve_margins) {
    for (int g = 0; g < static_cast<int>(m->ngeom); ++g) m->geom_margin[g] *= 0.5;
  }
  return loaded;
}

}  // namespace admrl
