// The first line of a request, in whatever pieces it comes.
#include "net/request_line.h"

#include <gtest/gtest.h>

#include <string>

#include "net/http.h"

namespace realtime {
namespace {

RequestLine Read(const std::string& text) {
  RequestLine line;
  EXPECT_TRUE(ReadRequestLine(text, &line)) << text;
  return line;
}

TEST(RequestLineTest, IsAwaitedToItsEnd) {
  const std::string text = "POST /a%2Fb?c=d HTTP/1.1\r\n";
  RequestLine line;
  for (size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(ReadRequestLine(text.substr(0, size), &line)) << size;
  EXPECT_EQ(Read(text).target, "/a%2Fb?c=d");
  EXPECT_FALSE(Read(text).malformed);
  EXPECT_EQ(Read("GET /a HTTP/1.1\r\nHost: x\r\n").target, "");
  EXPECT_FALSE(Read("GET /a%20b HTTP/1.1\nHost: x\n").malformed);
  EXPECT_TRUE(Read("GET /" + std::string(kMaxHeaderBytes, 'a')).malformed);
}

TEST(RequestLineTest, WhatWouldEndItEarlyIsMalformed) {
  for (const char* text : {"GET /%0A HTTP/1.1\r\n", "GET /?a=%0d HTTP/1.1\r\n", "POST /%00 HTTP/1.1\r\n", "GET /%0%0a HTTP/1.1\n",
                           "\r\n", "\n", "GET /a\rb HTTP/1.1\r\n", "GET /a\x01", "\x16\x03\x01"}) {
    EXPECT_TRUE(Read(text).malformed) << text;
  }
  EXPECT_TRUE(Read(std::string("GET /a\0b", 8)).malformed);
  EXPECT_FALSE(Read("GET /%0\n").malformed);
  EXPECT_FALSE(Read("GET /%0Bx%0 \n").malformed);
}

}  // namespace
}  // namespace realtime
