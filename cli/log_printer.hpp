// cli/log_printer.hpp: logs of one or many ranks on stdout and stderr.
#pragma once

#include "cli/terminal.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace linarite::cli {

/// "azureml-logs/70_driver_log.txt", "azureml-logs/70_driver_log_<rank>.txt", and those of workers and parameter
/// servers
/// ("..._worker_0.txt") are driver logs.
bool is_driver_log(std::string_view name);
/// The rank in a numbered driver log's name.
std::optional<int> rank_of_log(std::string_view name);
/// For sorting: driver logs by rank, others by name.
bool before_in_order(const std::string& a, const std::string& b);

/// Prints pieces of logs as they come. With one process the script's bytes go to stdout unchanged; with several each
/// line gets its rank in front. The build log and mpirun's own go to stderr, dim and with a name in front.
class LogPrinter {
public:
    using Write = std::function<void(std::string_view)>;
    /// `raw`: one log alone, all to `out` unchanged.
    LogPrinter(bool raw, const Terminal& terminal, Write out = write_out, Write err = write_err);

    void print(const std::string& name, std::string_view bytes);
    /// Lines that had no end yet.
    void finish();

private:
    void print_line(const std::string& name, std::string_view line);
    [[nodiscard]] static bool goes_to_out(const std::string& name);
    bool raw_;
    const Terminal& terminal_;
    Write out_;
    Write err_;
    std::map<std::string, std::string> unfinished_; // by log
};

} // namespace linarite::cli
