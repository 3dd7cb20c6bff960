// common/error.hpp: the one error type that crosses room boundaries.
#pragma once

#include <boost/system/result.hpp>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace linarite {

/// What the caller can do about it. HTTP statuses, exit codes and retry policy are derived from this enum, so a value
/// is added only when some caller must branch on it.
enum class Errc {
    invalid_argument,   // caller's fault, retrying is useless      -> 400
    unauthorized,       // no, unknown or expired token             -> 401
    forbidden,          // a known token that may not do this       -> 403
    not_found,          //                                          -> 404
    conflict,           // state moved under the caller             -> 409
    gone,               // a newer incarnation took over            -> 410
    too_large,          // over a size limit                        -> 413
    resource_exhausted, // over a quota or a rate                   -> 429
    unavailable,        // transient: retry with back-off           -> 503
    no_space,           // the disk is full                         -> 507
    internal,           // our bug, or a broken disk                -> 500
};

/// One thing that is wrong with an input: where (a JSON pointer such as "/nodeCount"; "" is the whole) and what.
struct Fault {
    std::string pointer;
    std::string message;
    bool operator==(const Fault&) const = default;
};

/// An error with words for a person: lower case, no full stop, names the thing ("run 'r1' not found"). `faults` is
/// filled where an input has several things wrong with it at once.
class Error {
public:
    Error() = default; // Boost 1.81's result::error() needs it
    Error(Errc code, std::string detail) : code_(code), detail_(std::move(detail)) {}
    /// All faults of one input; the detail joins them.
    explicit Error(std::vector<Fault> faults);

    [[nodiscard]] Errc code() const noexcept { return code_; }
    [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
    [[nodiscard]] const std::vector<Fault>& faults() const noexcept { return faults_; }

    /// Adds what we were doing, outermost first: "load run 'r1': disk I/O error".
    [[nodiscard]] Error within(const std::string& doing) const {
        Error outer(code_, doing + ": " + detail_);
        outer.faults_ = faults_;
        return outer;
    }

private:
    Errc code_ = Errc::internal;
    std::string detail_;
    std::vector<Fault> faults_;
};

template <class T>
using Result = boost::system::result<T, Error>;

/// Found by ADL when somebody calls value() on a failed Result: a programming error.
[[noreturn]] inline void throw_exception_from_error(const Error& e, const boost::source_location&) {
    throw std::logic_error("value() of a failed result: " + e.detail());
}

/// An Error that says what failed and errno's text: "open 'x': No such file or directory". ENOENT is not_found,
/// ENOSPC and EDQUOT are no_space, everything else internal.
Error errno_error(const std::string& doing, int error_number);

} // namespace linarite
