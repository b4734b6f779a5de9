// Certificates for tests of TLS, made on the spot.
#ifndef REALTIME_TEST_NET_CERTIFICATE_H_
#define REALTIME_TEST_NET_CERTIFICATE_H_

#include <string>

namespace realtime::test {

// PEM texts, as in the files that the settings name.
struct Certificate {
  std::string certificate;
  std::string key;
};

// Signed by itself, with this common name; valid for ten years.
Certificate MakeCertificate(const std::string& name);

}  // namespace realtime::test

#endif  // REALTIME_TEST_NET_CERTIFICATE_H_
