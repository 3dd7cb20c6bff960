// agent/mpi_version.hpp: which MPI the mpirun is that a run would find.
#pragma once

#include "async/cancel.hpp"
#include "common/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <string>

namespace linarite::agent {

namespace asio = boost::asio;

/// Asks each mpirun once, for as long as its file stays the same.
class MpiVersions {
public:
    /// "Open MPI 4.1.4", of the first mpirun in PATH; of another MPI what it says of itself first. `variables` are the
    /// run's. "" if there is no mpirun.
    asio::awaitable<Result<std::string>> find(std::map<std::string, std::string> variables, CancelToken cancel);

private:
    std::map<std::string, std::string> known_; // by file and its time
};

/// From the first line that `mpirun --version` prints.
std::string mpi_version_in(const std::string& line);

} // namespace linarite::agent
