// tests/component/server/blob_fixture.hpp: a whole coordinator, asked as the SDK's storage client asks it.
#pragma once

#include "component/server/app_fixture.hpp"
#include "server/service/blob_links.hpp"

#include <gmock/gmock.h>

#include <map>

namespace linarite::test {

class BlobFixture : public AppTest {
protected:
    using Headers = std::map<std::string, std::string>;

    /// One request without a bearer token, whatever its status.
    asio::awaitable<Response> raw(std::string method, std::string target, std::string body = "", Headers headers = {});

    /// A whole blob, to a link or a container.
    asio::awaitable<Response> put(std::string target, std::string body, Headers headers = {});
    /// The path and query of a link that a service gave out, after checking how it begins.
    std::string target_of(const std::string& link) const;
    /// With a signature of the account's key, as a storage client makes it.
    asio::awaitable<Response> signed_by_key(std::string method, std::string target, std::string body = "",
                                            Headers headers = {});
    /// What opens the default datastore's container, for an hour from now.
    [[nodiscard]] std::string sas(const std::string& rights = "racwdl") const;

    /// Bytes of a file of a run, from its node. `sha256` "": the file grows.
    static asio::awaitable<Response> bring(HttpClient& agent, std::string run, Fence fence, std::string path,
                                           std::string bytes, std::uint64_t offset = 0, std::string sha256 = "");

    /// Sends files and makes a snapshot of them, as the SDK does; gives the answer to the last step.
    asio::awaitable<Response> send_snapshot(std::string id, std::map<std::string, std::string> sent,
                                            std::vector<std::string> inherited = {}, std::string parent = "");

    static const std::string container; // of the default datastore

private:
    [[nodiscard]] service::Tokens tokens() const;
};

} // namespace linarite::test
