#include "server/blob/receiver.hpp"

#include "common/hash.hpp"
#include "server/http/feed_body.hpp"

#include <openssl/evp.h>

#include <array>
#include <new>

namespace linarite::blob {
namespace {

std::string base64_of_hex(const std::string& hex) {
    std::string bytes;
    for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
        bytes.push_back(static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16)));
    }
    return base64_encode(bytes);
}

} // namespace

void Receiver::Free::operator()(evp_md_ctx_st* context) const {
    EVP_MD_CTX_free(context);
}

Receiver::Receiver(Call call, artifacts::IncomingFile& file) : call_(std::move(call)), file_(file) {
    if (call_.header("content-md5").empty()) {
        return;
    }
    md5_.reset(EVP_MD_CTX_new());
    if (!md5_ || EVP_DigestInit_ex(md5_.get(), EVP_md5(), nullptr) != 1) {
        throw std::bad_alloc();
    }
}

asio::awaitable<Result<void>> Receiver::receive() {
    if (auto fed = co_await http::feed_body(*call_.exchange, *this); !fed) {
        co_return fed;
    }
    co_return check();
}

asio::awaitable<Result<void>> Receiver::feed(std::string_view bytes) {
    auto work = [this, bytes] {
        if (md5_) {
            EVP_DigestUpdate(md5_.get(), bytes.data(), bytes.size());
        }
        return file_.append(bytes);
    };
    return on_pool(call_.api->pool, std::move(work));
}

Result<void> Receiver::check() const {
    if (md5_) {
        std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
        unsigned int size = 0;
        EVP_DigestFinal_ex(md5_.get(), raw.data(), &size);
        if (call_.header("content-md5") !=
            base64_encode(std::string_view(reinterpret_cast<const char*>(raw.data()), size))) {
            return Error(Errc::invalid_argument, "the body has another MD5 than Content-MD5 says");
        }
    }
    const std::string sha256 = call_.header("content-sha256");
    if (!sha256.empty() && sha256 != base64_of_hex(file_.sha256())) {
        return Error(Errc::invalid_argument, "the body has another SHA-256 than Content-sha256 says");
    }
    return {};
}

} // namespace linarite::blob
