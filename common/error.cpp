#include "common/error.hpp"

#include <cerrno>
#include <system_error>

namespace linarite {

Error::Error(std::vector<Fault> faults) : code_(Errc::invalid_argument), faults_(std::move(faults)) {
    for (const Fault& fault : faults_) {
        detail_ += detail_.empty() ? "" : "; ";
        detail_ += fault.pointer.empty() ? fault.message : fault.pointer + ": " + fault.message;
    }
}

Error errno_error(const std::string& doing, int error_number) {
    const std::string detail = doing + ": " + std::generic_category().message(error_number);
    switch (error_number) {
    case ENOENT: return Error(Errc::not_found, detail);
    case ENOSPC:
    case EDQUOT: return Error(Errc::no_space, detail);
    default: return Error(Errc::internal, detail);
    }
}

} // namespace linarite
