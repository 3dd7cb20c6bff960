#include "agent/environment/published.hpp"

#include "agent/environment/process.hpp"
#include "agent/environment/requirements.hpp"
#include "agent/environment/use.hpp"
#include "common/clock.hpp"
#include "common/file_tree.hpp"
#include "common/files.hpp"
#include "environments/stored.hpp"
#include "environments/usage.hpp"
#include "proto/json_reader.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr const char* system_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; // of images

// A folder in front of the PATH of the node or of the image.
std::string path_with(const fs::path& folder, const ImageBase* image) {
    const auto own = image != nullptr ? image->variables : own_variables();
    const auto path = own.find("PATH");
    const std::string rest = path != own.end() ? path->second : image != nullptr ? system_path : "";
    return folder.string() + (rest.empty() ? "" : ":" + rest);
}

bool has_interpreter(const fs::path& python, bool in_image) {
    std::error_code ec;
    return in_image ? fs::is_symlink(python, ec) : ::access(python.c_str(), X_OK) == 0;
}

Built built_of(environments::Stored stored) {
    return {std::move(stored.lock), std::move(stored.python), std::move(stored.variables)};
}

} // namespace

PreparedEnvironment describe(const fs::path& folder, const Plan& plan, Built built) {
    PreparedEnvironment out;
    out.python = folder / "bin" / "python";
    out.variables = std::move(built.variables);
    out.variables["PATH"] = path_with(folder / "bin", plan.image.get());
    if (plan.provider == "conda") {
        out.variables["CONDA_PREFIX"] = folder.string();
        out.variables["CONDA_DEFAULT_ENV"] = folder.string();
    } else {
        out.variables["VIRTUAL_ENV"] = folder.string();
    }
    out.folder = folder;
    out.key = plan.key;
    out.lock = std::move(built.lock);
    out.provider = plan.provider;
    out.python_version = built.python;
    return out;
}

PreparedEnvironment describe_bare(const Plan& plan) {
    PreparedEnvironment out;
    out.python = plan.interpreter.path;
    out.reused = true;
    out.provider = plan.provider;
    if (plan.provider == "user_managed") {
        return out;
    }
    if (!plan.interpreter.path.empty()) {
        out.python_version = plan.interpreter.version.str();
    }
    out.variables["PATH"] = path_with(out.python.parent_path(), plan.image.get());
    out.bare = "Python " + plan.interpreter.version.str() +
               (plan.image ? " of image '" + plan.image->name + "'" : " as it is on the node");
    return out;
}

bool stands_on_image(const Plan& plan) {
    return plan.image != nullptr && plan.provider != "conda"; // conda brings its own
}

Result<std::optional<PreparedEnvironment>> look_up(const fs::path& folder, const Plan& plan, const fs::path& user) {
    auto stored = take_into_use(folder.parent_path(), plan.key, user);
    if (!stored) {
        return stored.error();
    }
    if (!*stored || !has_interpreter(folder / "bin" / "python", stands_on_image(plan))) {
        return std::optional<PreparedEnvironment>();
    }
    auto found = describe(folder, plan, built_of(std::move(**stored)));
    found.reused = true;
    return std::optional(std::move(found));
}

std::optional<PreparedEnvironment> look_again(const fs::path& folder, const Plan& plan) {
    auto stored = environments::read_stored(folder);
    if (!stored || !has_interpreter(folder / "bin" / "python", stands_on_image(plan))) {
        return std::nullopt;
    }
    environments::touch_marker(folder);
    auto found = describe(folder, plan, built_of(std::move(*stored)));
    found.reused = true;
    return found;
}

Result<void> clear_away(const fs::path& folder) {
    std::error_code ec;
    // the marker goes first: killed in the middle, this must not leave one that vouches for what is gone
    fs::remove(environments::marker_of(folder), ec);
    const std::atomic<bool> never{false};
    const auto deleted = delete_tree(folder, never);
    return deleted ? deleted : Result<void>(deleted.error().within("remove half-built environment"));
}

Result<void> publish(const fs::path& folder, const Plan& plan, const Built& built) {
    // A script that is not root can't change what others use then. Python adds its byte code to the folders.
    const std::uint64_t bytes = environments::make_files_read_only(folder);
    const proto::Json marker{{"key", plan.key},
                             {"provider", plan.provider},
                             {"python", built.python},
                             {"interpreter", plan.interpreter.path.string()},
                             {"requirements", without_credentials(plan.requirements)},
                             {"conda", plan.conda_specs},
                             {"channels", without_credentials(plan.channels)},
                             {"created", format_time(SystemClock().now())},
                             {"bytes", bytes},
                             {"variables", built.variables},
                             {"lock", built.lock}};
    // Thousands of small files must be on disk before the marker that vouches for them; one fsync for each takes far
    // longer.
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::syncfs(fd.get()) != 0) {
        return errno_error("sync '" + folder.string() + "'", errno);
    }
    return write_file_durably(environments::marker_of(folder), proto::print_json_pretty(marker) + "\n", 0444);
}

} // namespace linarite::agent
