#include "agent/environment/build_session.hpp"
#include "agent/environment/choice.hpp"
#include "agent/environment/conda.hpp"
#include "agent/environment/file_lock.hpp"
#include "agent/environment/provider.hpp"
#include "agent/environment/rattler_driver.hpp"
#include "agent/environment/records.hpp"
#include "agent/environment/requirements.hpp"
#include "agent/environment/uv.hpp"
#include "agent/environment/uv_installer.hpp"
#include "async/async.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "environments/layout.hpp"
#include "proto/json_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace linarite::agent {

namespace {

using proto::Json;

constexpr int driver_unsatisfiable = 3; // rattler_driver.py's exit codes
constexpr int driver_unreachable = 4;

// "3.8.13" is "python=3.8.13"; ">=3.7" stays a clause.
std::string python_spec(const std::string& version) {
    if (version.empty()) {
        return "python";
    }
    const bool is_clause = version.find_first_of("<>=!~") != std::string::npos;
    return is_clause ? "python" + version : "python=" + version;
}

std::string minor_of(const std::string& version) {
    return version.substr(0, version.rfind('.'));
}

// A version that the SDK has put in by itself is a wish, not a demand.
std::vector<std::string> pythons_to_try(const std::string& version, bool strict) {
    if (strict || !is_sdk_default_python(version) || version.empty()) {
        return {python_spec(version)};
    }
    return {python_spec(version), python_spec(minor_of(version)), python_spec("")};
}

std::string lines_of(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) {
        out += line + "\n";
    }
    return out;
}

Error explain_failure(const std::string& words, bool unreachable, bool unsatisfiable) {
    if (unsatisfiable) {
        return {Errc::invalid_argument, "no conda packages satisfy what the run asks for: " + words};
    }
    if (unreachable) {
        return {Errc::unavailable, "a conda channel can't be reached: " + words};
    }
    return {Errc::invalid_argument, "the conda environment can't be made: " + words};
}

fs::path packages_of(const BuildSession& session) {
    return session.node().settings().environments / environments::conda_packages;
}

// One environment being made by one tool.
class CondaBuild {
public:
    CondaBuild(BuildSession& session, CondaTool tool) : session_(session), tool_(std::move(tool)) {}

    asio::awaitable<Result<void>> run() {
        const std::vector<std::string>& pythons = session_.plan().pythons;
        Result<void> first;
        for (std::size_t i = 0; i < pythons.size(); ++i) {
            unsatisfiable_ = false;
            co_await on_pool(session_.node().pool(), [folder = session_.folder()] {
                std::error_code ec;
                return fs::remove_all(folder, ec); // of the attempt before
            });
            auto made = tool_.name == "rattler" ? co_await by_rattler(pythons[i]) : co_await by_command(pythons[i]);
            if (made || !unsatisfiable_) {
                co_return made;
            }
            if (i == 0) {
                first = made;
            }
            if (i + 1 < pythons.size()) {
                session_.step("warning: " + pythons[i] + " can't be had with these packages: trying " + pythons[i + 1]);
            }
        }
        co_return first;
    }

private:
    [[nodiscard]] std::vector<std::string> specs(const std::string& python) const {
        std::vector<std::string> out{python};
        const auto& asked = session_.plan().conda_specs;
        out.insert(out.end(), asked.begin(), asked.end());
        return out;
    }

    asio::awaitable<Result<void>> by_rattler(std::string python) {
        const auto own = installer_variables();
        const auto alias = own.find("CONDA_CHANNEL_ALIAS");
        const Json order{{"prefix", session_.folder().string()},
                         {"channels", session_.plan().channels},
                         {"specs", specs(python)},
                         {"cache", (packages_of(session_) / "rattler").string()},
                         {"alias", alias == own.end() ? "" : alias->second},
                         {"offline", session_.node().settings().offline}};
        const fs::path file = session_.folder().string() + ".order.json";
        const fs::path driver = session_.folder().string() + ".driver.py";
        const auto written = co_await on_pool(session_.node().pool(), [file, driver, text = proto::print_json(order)] {
            const auto done = replace_file(driver, rattler_driver());
            return done ? replace_file(file, text, 0600) : done; // a channel may be named with its password
        });
        if (!written) {
            co_return written.error();
        }
        ToolCall call;
        call.arguments = {tool_.program.string(), "-I", driver.string(), file.string()};
        call.variables = own;
        call.explain = [this](const std::vector<std::string>& output, int code) {
            unsatisfiable_ = code == driver_unsatisfiable;
            std::string words = failure_words(output);
            words.erase(0, words.starts_with("error: ") ? 7 : 0);
            return explain_failure(words, code == driver_unreachable, unsatisfiable_);
        };
        const auto made = co_await session_.run(std::move(call));
        std::error_code ec;
        fs::remove(file, ec);
        fs::remove(driver, ec);
        co_return made ? Result<void>() : made.error();
    }

    asio::awaitable<Result<void>> by_command(std::string python) {
        ToolCall call;
        call.arguments = {tool_.program.string(), "create", "-y", "-p", session_.folder().string(),
                          "--override-channels"};
        for (const std::string& channel : session_.plan().channels) {
            call.arguments.insert(call.arguments.end(), {"-c", channel});
        }
        if (session_.node().settings().offline) {
            call.arguments.emplace_back("--offline");
        }
        const auto wanted = specs(python);
        call.arguments.insert(call.arguments.end(), wanted.begin(), wanted.end());
        call.variables = installer_variables();
        call.variables["CONDA_PKGS_DIRS"] = (packages_of(session_) / "pkgs").string();
        call.variables["MAMBA_ROOT_PREFIX"] =
            (packages_of(session_) / "root").string(); // micromamba wants one, whatever it does
        call.variables["CONDA_REPORT_ERRORS"] = "false";
        call.variables["CONDA_AUTO_UPDATE_CONDA"] = "false";
        call.variables["MAMBA_NO_BANNER"] = "1";
        call.explain = [this](const std::vector<std::string>& output, int /*code*/) {
            const std::string words = conda_failure_words(output);
            unsatisfiable_ = is_unsatisfiable(words);
            return explain_failure(words, is_network_failure(words), unsatisfiable_);
        };
        const auto made = co_await session_.run(std::move(call));
        co_return made ? Result<void>() : made.error();
    }

    BuildSession& session_;
    CondaTool tool_;
    bool unsatisfiable_ = false; // what the last call failed for
};

// Packages of the index that conda did not install under the same name.
std::vector<std::string> pip_part(const std::vector<std::string>& frozen, const std::vector<std::string>& conda) {
    std::vector<std::string> out;
    for (const std::string& line : frozen) {
        const bool is_conda = std::any_of(conda.begin(), conda.end(), [&](const std::string& entry) {
            return names_package(line, normalised_name(entry.substr(0, entry.find(' '))));
        });
        if (!is_conda) {
            out.push_back(line);
        }
    }
    return out;
}

std::string python_of(const std::vector<std::string>& lock) {
    const auto line = std::ranges::find_if(lock, [](const std::string& each) { return each.starts_with("python "); });
    return line == lock.end() ? "" : line->substr(7, line->find(' ', 7) - 7);
}

// The variables as the last line, after whatever the scripts print.
constexpr const char* activation = R"(
for script in "$0"/etc/conda/activate.d/*.sh; do
    [ ! -e "$script" ] || . "$script"
done
exec "$0/bin/python" -I -c 'import json, os; print(); print(json.dumps(dict(os.environ)))'
)";

std::map<std::string, std::string> set_by_scripts(const std::vector<std::string>& output,
                                                  const std::map<std::string, std::string>& before) {
    static const std::set<std::string> of_the_shell{"PATH", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"};
    std::map<std::string, std::string> out;
    const auto document = output.empty() ? Result<Json>(Json::object()) : proto::parse_json(output.back());
    if (!document || !document->is_object()) {
        return out;
    }
    for (const auto& [name, value] : document->items()) {
        const auto old = before.find(name);
        const bool is_new = value.is_string() && (old == before.end() || old->second != value.get<std::string>());
        if (is_new && !of_the_shell.contains(name)) {
            out[name] = value.get<std::string>();
        }
    }
    return out;
}

class CondaProvider final : public Provider {
public:
    explicit CondaProvider(Node& node) : node_(node) {}

    asio::awaitable<Result<Plan>> plan(proto::PythonEnvironment python,
                                       std::shared_ptr<const ImageBase> image) override {
        // pip's lines alone: what conda is asked for goes to conda as it is
        const auto requirements = to_requirements({}, python.pip_packages);
        if (!requirements) {
            co_return requirements.error();
        }
        Plan plan;
        plan.provider = "conda";
        plan.requirements = requirements->lines;
        plan.conda_specs = python.conda_packages;
        plan.pythons = pythons_to_try(python.python_version, node_.settings().strict_python);
        plan.channels = python.channels.empty() ? std::vector<std::string>{"conda-forge"} : python.channels;
        if (std::ranges::any_of(plan.conda_specs, [](const std::string& spec) { return spec.starts_with('-'); })) {
            co_return Error(Errc::invalid_argument, "a conda package's name can't begin with '-'");
        }
        plan.reason = "environment: made by conda of channels " +
                      fmt::format("{}", fmt::join(without_credentials(plan.channels), ", ")) +
                      (plan.requirements.empty() ? "" : ", with packages from the package index on top, by uv");
        plan.image = image;
        plan.key = sha256_hex("linarite environment 1\nconda\n" + platform_name() + "\n" +
                              (image ? image->digest + "\n" : "") + lines_of(plan.channels) + lines_of(plan.pythons) +
                              "\n" + normalise_conda(plan.conda_specs) + "\n" + normalise(plan.requirements));
        co_return plan;
    }

    asio::awaitable<Result<Built>> build(BuildOrder order) override {
        const auto tool = co_await provide_tool(order);
        if (!tool) {
            co_return tool.error();
        }
        BuildSession session(node_, std::move(order));
        const auto made = co_await make(session, *tool);
        if (!made) {
            co_return made.error();
        }
        const auto locked =
            co_await on_pool(node_.pool(), [folder = session.folder()] { return read_conda_lock(folder); });
        if (!locked) {
            co_return locked.error();
        }
        Built built;
        built.lock = lines_of(*locked);
        built.python = python_of(*locked);
        if (!session.plan().requirements.empty()) {
            const auto frozen = co_await add_from_index(session);
            if (!frozen) {
                co_return frozen.error();
            }
            auto text = [at = session.folder(), lines = pip_part(*frozen, *locked)] {
                return lock_of_installed(at, lines);
            };
            built.lock += "# from the package index:\n" + co_await on_pool(node_.pool(), std::move(text));
        }
        auto variables = co_await activate(session);
        if (!variables) {
            co_return variables.error();
        }
        built.variables = std::move(*variables);
        co_return built;
    }

private:
    asio::awaitable<Result<CondaTool>> provide_tool(const BuildOrder& order) {
        auto found = co_await on_pool(node_.pool(), [name = node_.settings().conda] { return find_conda_tool(name); });
        if (!found) {
            co_return found.error();
        }
        if (*found && (*found)->name != "rattler") {
            co_return **found;
        }
        co_return co_await provide_rattler(node_, order.log, order.cancel);
    }

    // One at a time: conda's tools share their cache of packages without a lock that all of them know.
    static asio::awaitable<Result<void>> make(BuildSession& session, CondaTool tool) {
        const fs::path cache = packages_of(session);
        if (auto there = make_folders(cache); !there) {
            co_return there.error();
        }
        const auto lock = co_await lock_file(
            cache / ".lock", [&session] { session.step("waiting for another build that uses conda's packages"); },
            session.order().cancel);
        if (!lock) {
            co_return lock.error();
        }
        session.step("making a conda environment with " + tool.name);
        CondaBuild build(session, std::move(tool));
        co_return co_await build.run();
    }

    // What the packages' activation scripts set: JAVA_HOME, GDAL_DATA and the like. They are run once, here.
    static asio::awaitable<Result<std::map<std::string, std::string>>> activate(BuildSession& session) {
        const fs::path scripts = session.folder() / "etc/conda/activate.d";
        std::error_code ec;
        if (fs::is_empty(scripts, ec) || ec) {
            co_return std::map<std::string, std::string>();
        }
        const fs::path bash = find_on_path("bash", false);
        ToolCall call;
        call.arguments = {bash.empty() ? "/bin/sh" : bash.string(), "-c", activation, session.folder().string()};
        call.variables = installer_variables();
        call.variables["CONDA_PREFIX"] = session.folder().string();
        call.variables["PATH"] = (session.folder() / "bin").string() + ":" + call.variables["PATH"];
        call.quiet = true;
        call.explain = [](const std::vector<std::string>& output, int code) {
            return Error(Errc::invalid_argument, "an activation script of the environment's packages ended with " +
                                                     std::to_string(code) + ": " + failure_words(output));
        };
        const auto before = call.variables;
        const auto said = co_await session.run(std::move(call));
        if (!said) {
            co_return said.error();
        }
        co_return set_by_scripts(*said, before);
    }

    asio::awaitable<Result<std::vector<std::string>>> add_from_index(BuildSession& session) {
        const auto uv = co_await provide_uv(node_, session.order().log, session.order().cancel);
        if (!uv) {
            co_return uv.error();
        }
        UvInstaller installer(session, *uv, ToolRunner());
        co_await installer.prepare();
        session.step("installing packages from the package index");
        const auto installed = co_await installer.install(session.plan().requirements);
        if (!installed) {
            co_return installed.error();
        }
        co_return co_await installer.freeze();
    }

    Node& node_;
};

} // namespace

std::unique_ptr<Provider> make_conda_provider(Node& node) {
    return std::make_unique<CondaProvider>(node);
}

} // namespace linarite::agent
