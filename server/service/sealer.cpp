#include "server/service/sealer.hpp"

#include "common/hash.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <memory>

namespace linarite::service {
namespace {

// A sealed text is the base64 of nonce, tag and ciphertext.
constexpr std::size_t key_size = 32;
constexpr std::size_t nonce_size = 12;
constexpr std::size_t tag_size = 16;
constexpr std::size_t most_secret = std::size_t{1} << 20U;

struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
}

Result<std::string> random_bytes(std::size_t count) {
    std::string out(count, '\0');
    if (RAND_bytes(bytes_of(out), static_cast<int>(count)) != 1) {
        return Error(Errc::internal, "this machine gives no random bytes");
    }
    return out;
}

// The same for both ways: the owner goes in as authenticated data, the text is changed in place.
bool apply(EVP_CIPHER_CTX* cipher, std::string_view owner, std::string& text) {
    int count = 0;
    std::array<unsigned char, tag_size> rest{}; // GCM leaves nothing
    return EVP_CipherUpdate(cipher, nullptr, &count, bytes_of(owner), static_cast<int>(owner.size())) == 1 &&
           EVP_CipherUpdate(cipher, bytes_of(text), &count, bytes_of(text), static_cast<int>(text.size())) == 1 &&
           EVP_CipherFinal_ex(cipher, rest.data(), &count) == 1;
}

Error cannot_open() {
    return {Errc::invalid_argument, "it was sealed elsewhere, or is damaged"};
}

} // namespace

Result<Sealer> Sealer::open(const fs::path& file) {
    const auto known = read_file(file, 4096);
    if (known && known->size() == key_size) {
        return Sealer(*known);
    }
    if (!known && known.error().code() != Errc::not_found) {
        return known.error();
    }
    auto key = random_bytes(key_size);
    if (!key) {
        return key.error();
    }
    if (auto written = write_file_durably(file, *key, 0600); !written) {
        return written.error();
    }
    return Sealer(std::move(*key));
}

Result<std::string> Sealer::seal(std::string_view secret, std::string_view owner) const {
    if (secret.size() > most_secret) {
        return Error(Errc::too_large, "a secret of more than a megabyte");
    }
    const auto nonce = random_bytes(nonce_size);
    if (!nonce) {
        return nonce.error();
    }
    std::string text(secret);
    std::string tag(tag_size, '\0');
    const Cipher cipher(EVP_CIPHER_CTX_new());
    const bool done =
        cipher &&
        EVP_CipherInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key_), bytes_of(*nonce), 1) == 1 &&
        apply(cipher.get(), owner, text) &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, tag_size, tag.data()) == 1;
    return done ? Result<std::string>(base64_encode(*nonce + tag + text))
                : Result<std::string>(Error(Errc::internal, "a secret cannot be sealed"));
}

Result<std::string> Sealer::unseal(std::string_view sealed, std::string_view owner) const {
    const auto whole = base64_decode(sealed);
    if (!whole || whole->size() < nonce_size + tag_size) {
        return cannot_open();
    }
    const std::string nonce = whole->substr(0, nonce_size);
    std::string tag = whole->substr(nonce_size, tag_size);
    std::string text = whole->substr(nonce_size + tag_size);
    const Cipher cipher(EVP_CIPHER_CTX_new());
    const bool done =
        cipher &&
        EVP_CipherInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key_), bytes_of(nonce), 0) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, tag_size, tag.data()) == 1 &&
        apply(cipher.get(), owner, text);
    return done ? Result<std::string>(std::move(text)) : Result<std::string>(cannot_open());
}

} // namespace linarite::service
