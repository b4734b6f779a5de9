#include "net/inspector.h"

namespace realtime {

constexpr std::string_view kInspectorPage = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Realtime inspector</title>
<link rel="stylesheet" href="inspector.css">
<script src="inspector.js" defer></script>
</head>
<body>
<header>
  <h1>Realtime <span>inspector</span></h1>
  <p id="server"></p>
  <p id="pace"></p>
  <p id="status" role="status" data-state="off">Not connected</p>
</header>
<main>
  <div id="controls">
    <form id="join">
      <fieldset>
        <legend>Channel</legend>
        <label>API key
          <input id="key" type="password" autocomplete="off" spellcheck="false" placeholder="eyJ… or sb_publishable_…" required>
        </label>
        <p id="key-note" class="note">The key stays in this page.</p>
        <label>User's token <small>optional: judged instead of the key</small>
          <input id="token" type="password" autocomplete="off" spellcheck="false" placeholder="eyJ…">
        </label>
        <label>Name <input id="topic" value="room" autocomplete="off" spellcheck="false" required></label>
        <div class="switches">
          <label><input id="private" type="checkbox"> private</label>
          <label><input id="self" type="checkbox" checked> hear myself</label>
          <label><input id="with-presence" type="checkbox" checked> presence</label>
        </div>
        <details id="changes">
          <summary>Row changes</summary>
          <div class="pair">
            <label>Schema <input id="schema" value="public" autocomplete="off" spellcheck="false"></label>
            <label>Table <input id="table" placeholder="empty: none" autocomplete="off" spellcheck="false"></label>
          </div>
          <div class="pair">
            <label>Event
              <select id="operation"><option value="*">all</option><option>INSERT</option><option>UPDATE</option><option>DELETE</option></select>
            </label>
            <label>Filter <input id="filter" placeholder="id=eq.1" autocomplete="off" spellcheck="false"></label>
          </div>
        </details>
        <div class="buttons"><button id="enter" class="primary">Join</button><button id="leave" type="button" disabled>Leave</button></div>
        <p id="problem" role="alert"></p>
      </fieldset>
    </form>
    <form id="broadcast">
      <fieldset id="broadcast-fields" disabled>
        <legend>Send a broadcast</legend>
        <label>Event <input id="name" value="message" autocomplete="off" spellcheck="false" required></label>
        <label>Payload <small>JSON</small><textarea id="payload" rows="3" spellcheck="false">{ "text": "hello" }</textarea></label>
        <div class="buttons"><button id="send" class="primary">Send</button></div>
      </fieldset>
    </form>
    <form id="presence">
      <fieldset id="presence-fields" disabled>
        <legend>My presence</legend>
        <label>State <small>JSON object</small><textarea id="meta" rows="2" spellcheck="false">{ "name": "inspector" }</textarea></label>
        <div class="buttons"><button id="track" class="primary">Track</button><button id="untrack" type="button">Untrack</button></div>
      </fieldset>
    </form>
  </div>
  <div id="view">
    <section aria-labelledby="here-title">
      <h2 id="here-title">Who is here <span id="here-count">0</span></h2>
      <ul id="here"><li class="empty">Nobody has tracked a presence.</li></ul>
    </section>
    <section id="feed" aria-labelledby="feed-title">
      <div class="bar">
        <h2 id="feed-title">What arrives</h2>
        <div id="kinds" role="group" aria-label="Show">
          <label><input type="checkbox" value="broadcast" checked> broadcast <span>0</span></label>
          <label><input type="checkbox" value="change" checked> row change <span>0</span></label>
          <label><input type="checkbox" value="presence" checked> presence <span>0</span></label>
          <label><input type="checkbox" value="system" checked> system <span>0</span></label>
        </div>
        <button id="clear" type="button">Clear</button>
      </div>
      <ol id="events"></ol>
      <p id="nothing" class="empty">Join a channel: messages, presence and row changes appear here, newest first.</p>
    </section>
  </div>
</main>
</body>
</html>
)html";

}  // namespace realtime
