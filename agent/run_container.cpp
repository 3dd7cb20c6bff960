#include "agent/run_container.hpp"

#include "common/files.hpp"

namespace linarite::agent {

namespace {

void add_if_there(std::vector<BindMount>& mounts, const fs::path& path, bool read_only) {
    std::error_code ec;
    if (path.is_absolute() && fs::exists(path, ec)) {
        mounts.push_back({path, read_only});
    }
}

} // namespace

ImageOrder image_order(const ImageChoice& choice, const proto::ContainerSettings& settings,
                       const proto::RegistryLogin& login) {
    ImageOrder order{choice.image, login, "", choice.dockerfile};
    if (!settings.registry_user.empty() && login.username.empty()) {
        const std::string server = proto::login_server(settings);
        order.no_password = "the run names user '" + settings.registry_user + "' of registry '" + server +
                            "' and no password came with it (registered environments and backups keep none): give it "
                            "when you submit, or log in on the node (docker login " +
                            server + ")";
    }
    return order;
}

Result<void> check_image(const Image& image, const proto::RunDefinition& definition) {
    // where an environment is made, whoever makes it says what it lacks: conda brings a Python of its own
    const bool names_none =
        definition.python.interpreter_path == "python" || definition.python.interpreter_path.empty();
    if (!definition.script.empty() && image.python.empty() && definition.python.user_managed && names_none) {
        return Error(
            Errc::invalid_argument,
            "image '" + image.name +
                "' has no Python (neither python nor python3 is on its PATH): base it on one that has, or give "
                "the interpreter's path (interpreterPath)");
    }
    if (definition.launch == proto::LaunchKind::mpi && image.mpirun.empty()) {
        return Error(
            Errc::invalid_argument,
            "image '" + image.name +
                "' has no Open MPI (mpirun is not on its PATH), which an MPI run needs inside of it: install it "
                "in the image (Debian: openmpi-bin), or submit without a backend");
    }
    return {};
}

void fit_into(const Image& image, LaunchOrder& order) {
    order.contained = true;
    order.mpirun = image.mpirun;
    const auto zone = order.inherited.find("TZ");
    std::map<std::string, std::string> variables = image.facts.variables;
    if (zone != order.inherited.end()) {
        variables.insert(*zone);
    }
    if (const auto gpus = order.inherited.find("CUDA_VISIBLE_DEVICES"); gpus != order.inherited.end()) {
        variables.insert(*gpus);
    }
    if (const auto arguments = proto::parse_container_arguments(order.definition.container.arguments)) {
        for (const auto& [name, value] : arguments->variables) {
            variables[name] = value;
        }
    }
    variables.erase("HOME"); // the run's own folder for temporary files: the user may have none in the image
    order.inherited = std::move(variables);
}

std::vector<BindMount> container_mounts(const LaunchOrder& order, const std::vector<proto::DesiredData>& data) {
    std::vector<BindMount> mounts{{order.run_dir, false}, {order.work_dir, false}};
    add_if_there(mounts, order.dropin, true);
    for (const char* name : {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "LINARITE_CA_FILE"}) {
        if (const auto file = order.variables.find(name); file != order.variables.end()) {
            add_if_there(mounts, file->second, true);
        }
    }
    if (!order.launch_socket.empty()) {
        // its folder, since the socket is made anew when the agent is started again
        add_if_there(mounts, fs::path(order.launch_socket).parent_path(), true);
    }
    for (const proto::DesiredData& entry : data) {
        const auto path = order.data_paths.find(entry.reference.name);
        if (path != order.data_paths.end()) {
            add_if_there(mounts, path->second, is_read_only(order, entry.reference));
        }
    }
    return mounts;
}

Result<std::vector<View>> container_views(const LaunchOrder& order) {
    auto view = environment_view(order);
    if (!view) {
        return std::vector<View>();
    }
    for (const char* part : {"upper", "work"}) {
        if (auto made = make_folders(view->changes / part); !made) {
            return made.error();
        }
    }
    return std::vector<View>{std::move(*view)};
}

std::string image_lock(const Image& image) {
    std::string text = "# image " + image.name + "\n# digest " + image.digest() + "\n# id " + image.facts.id + "\n";
    if (!image.python.empty()) {
        text += "# Python " + image.python_version.str() + " at " + image.python + "\n";
    }
    if (!image.open_mpi.empty()) {
        text += "# Open MPI " + image.open_mpi + "\n";
    }
    return text;
}

bool has_nvidia_driver() {
    std::error_code ec;
    return fs::exists("/dev/nvidiactl", ec);
}

} // namespace linarite::agent
