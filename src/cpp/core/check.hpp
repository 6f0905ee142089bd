// What every part of the core asks of its input: one sentence for each kind of mistake.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/error.hpp"

namespace admrl {

// A count or an index, which is not negative, as the standard library has it.
template <std::integral Integer>
constexpr std::size_t to_size(Integer n) noexcept {
  return static_cast<std::size_t>(n);
}

// Texts and numbers, one after the other.
template <class... Parts>
std::string joined(const Parts&... parts) {
  const auto text = [](const auto& part) {
    if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(part)>>) {
      return std::to_string(part);
    } else {
      return std::string_view(part);
    }
  };
  std::string all;
  (all.append(text(parts)), ...);
  return all;
}

// Throws an Error whose message is `parts`, which are put together for it alone.
template <class Error = InvalidInput, class... Parts>
void require(bool ok, const Parts&... parts) {
  if (!ok) throw Error(joined(parts...));
}

inline void require_elements(std::string_view name, std::size_t got, std::size_t expected) {
  require(got == expected, name, ": expected ", expected, " elements, got ", got);
}

inline void require_at_least_one(std::string_view name, std::int64_t value) {
  require(value >= 1, name, ": expected at least 1, got ", value);
}

inline void require_not_negative(std::string_view name, double value) {
  require(std::isfinite(value) && value >= 0.0, name, ": expected a finite number >= 0, got ",
          value);
}

template <class Error = NotFinite, class Number>
void require_finite(std::string_view name, std::span<const Number> values) {
  for (const Number x : values) {
    require<Error>(std::isfinite(x), name, ": expected finite values, got ", x);
  }
}

inline void require_positive(std::string_view name, std::span<const float> values) {
  for (const float x : values) require(x > 0.0f, name, ": expected positive values, got ", x);
}

}  // namespace admrl
