#include "tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace realtime::test {

TlsSession::TlsSession(int newest_version)
    : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free), ssl_(nullptr, &SSL_free) {
  SSL_CTX_set_max_proto_version(context_.get(), newest_version);
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(ssl_.get());
}

bool TlsSession::Advance() {
  ERR_clear_error();
  int result = SSL_do_handshake(ssl_.get());
  ready_ = result == 1;
  return ready_ || SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ;
}

std::string TlsSession::PeerName() const {
  char name[256] = "";
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr) return "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
  return name;
}

std::string TlsSession::Version() const { return SSL_get_version(ssl_.get()); }

std::string TlsSession::Encrypt(std::string_view plain) {
  ERR_clear_error();
  if (!plain.empty()) SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
  return TakeOutput();
}

std::string TlsSession::Goodbye() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  return TakeOutput();
}

std::string TlsSession::TakeOutput() {
  BIO* bio = SSL_get_wbio(ssl_.get());
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string bytes(data, static_cast<size_t>(size));
  BIO_reset(bio);
  return bytes;
}

void TlsSession::Receive(std::string_view bytes) {
  if (!bytes.empty()) BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
}

bool TlsSession::Decrypt(std::string* plain) {
  char chunk[16384];
  for (;;) {
    ERR_clear_error();
    int n = SSL_read(ssl_.get(), chunk, sizeof(chunk));
    if (n > 0) {
      plain->append(chunk, static_cast<size_t>(n));
      continue;
    }
    int error = SSL_get_error(ssl_.get(), n);
    complete_ = error == SSL_ERROR_ZERO_RETURN;
    return error == SSL_ERROR_WANT_READ;
  }
}

}  // namespace realtime::test
