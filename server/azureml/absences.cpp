#include "server/azureml/absences.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace linarite::azureml {
namespace {

constexpr std::size_t logged_at_most = 1'000;

/// Paths that start with `service` and have `part` behind the workspace's name, and what their users are told.
struct Absence {
    std::string_view service;
    std::string_view part;
    std::string_view words;
};

constexpr std::string_view unknown = "Linarite does not emulate this part of Azure Machine Learning";
constexpr std::string_view models = "Linarite keeps no registered models and deploys none: the files that a run left "
                                    "in outputs/ are listed by run.get_file_names() and "
                                    "read by run.download_file(name)";
constexpr std::string_view keyvault = "Linarite keeps no secrets: let the scripts read them from files on the nodes";
constexpr std::string_view workspaces =
    "workspaces are made and kept by whoever runs Linarite (linarite workspace), not through Azure's API";
constexpr std::string_view no_images =
    "Linarite builds no images: the nodes prepare an environment when the first run needs it";
constexpr std::string_view no_labels = "environments have no labels here: name a version, or none for the newest";
constexpr std::string_view no_quotas = "there are no quotas: the nodes are all that there is (linarite nodes)";

// The first that fits is told.
constexpr std::array absences{
    Absence{"/modelmanagement/", "/models", models},
    Absence{"/modelmanagement/", "/assets", models},
    Absence{"/artifact/", "/LocalUpload/", models},
    Absence{"/modelmanagement/", "", "Linarite deploys nothing: it has neither images nor web services, only runs"},
    Absence{"/artifact/", "/Environment/",
            "Linarite keeps no packages: environments install them from the index that the nodes are set up with"},
    Absence{"/artifact/", "",
            "Linarite keeps the files of runs alone: they are in containers of the origin ExperimentRun"},
    Absence{"/credential/", "", keyvault},
    Absence{"/dataset/", "",
            "Linarite has no datasets: give a run a Datastore's path(...).as_mount() or as_download()"},
    Absence{"/pipelines/", "",
            "Linarite has no pipelines: submit the runs one by one, each after the one that it needs"},
    Absence{"/environment/", "/image", no_images},
    Absence{"/environment/", "/recipe", no_images},
    Absence{"/environment/", "/labels/", no_labels},
    Absence{"/environment/", "/metadata", no_labels},
    Absence{"/subscriptions/", "/computes/",
            "a compute target is a pool of nodes: it is made, resized and deleted, no more"},
    Absence{"/subscriptions/", "/connections", "Linarite connects workspaces to nothing else: it keeps no credentials"},
    Absence{"/subscriptions/", "/linkedServices", "Linarite links workspaces to no other service"},
    Absence{"/subscriptions/", "/privateEndpoint",
            "Linarite has no private endpoints: it listens where its operator says"},
    Absence{"/subscriptions/", "/resynckeys",
            "a workspace's keys never change here: there is nothing to bring in line"},
    Absence{"/subscriptions/", "/diagnose",
            "there is nothing of Azure's to diagnose: linarite nodes and linarite explain tell what goes on"},
    Absence{"/subscriptions/", "/quotas", no_quotas},
    Absence{"/subscriptions/", "/updateQuotas", no_quotas},
    Absence{"/subscriptions/", "/usages", "usage is not counted: the nodes are all that there is (linarite nodes)"},
    Absence{"/subscriptions/", "", workspaces},
};

std::string_view words_for(std::string_view path) {
    constexpr std::string_view before_name = "/workspaces/";
    const std::size_t name = path.find(before_name);
    const std::size_t end = name == std::string_view::npos ? 0 : path.find('/', name + before_name.size());
    const std::string_view rest = end == std::string_view::npos ? "" : path.substr(end);
    const auto* const found = std::find_if(absences.begin(), absences.end(), [&](const Absence& absence) {
        return path.starts_with(absence.service) && rest.find(absence.part) != std::string_view::npos;
    });
    return found == absences.end() ? unknown : found->words;
}

} // namespace

// With a 400: anything above 499 the SDK would try again. Its parts read the words in different places. Some take the
// error within "error", model management and HyperDrive the members beside it, a read of one model shows only the
// correlation, and data sets only the reason of the status line.
asio::awaitable<void> reply_not_emulated(Call call) {
    const http::RequestHead& head = call.exchange->head();
    const std::string what = std::string(http::beast_http::to_string(head.method)) + " " + head.path;
    auto& logged = call.api->unknown_routes_logged;
    if (logged.size() < logged_at_most && logged.insert(what).second) {
        spdlog::warn("not emulated: {}", what);
    }
    const std::string_view words = words_for(head.path);
    const std::string message = std::string(words) + (words == unknown ? ": " + what : "");
    Json body = error_body("NotEmulated", message, call.api->clock.now());
    body["error"]["target"] = what;
    body["code"] = static_cast<int>(Status::bad_request);
    body["statusCode"] = static_cast<int>(Status::bad_request);
    body["message"] = message;
    body["correlation"]["reason"] = words;
    call.exchange->set_reason(words);
    co_await call.exchange->reply_json(Status::bad_request, body);
}

} // namespace linarite::azureml
