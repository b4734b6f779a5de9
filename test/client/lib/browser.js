'use strict';
// A headless Chromium, and a web server for one page that has the unmodified bundle of supabase-js at /supabase.js.
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { cleanup } = require('./cleanup');

const kChromium = process.env.CHROMIUM || '/usr/bin/chromium';
const kBundle = path.join(__dirname, '../node_modules/@supabase/supabase-js/dist/umd/supabase.js');

// Null, with the test skipped, when there is no browser.
async function openBrowser(t) {
  if (!fs.existsSync(kChromium)) {
    console.log(`# skipped: no browser at ${kChromium} (install chromium, or set CHROMIUM)`);
    t.skip(`no browser at ${kChromium}`);
    return null;
  }
  const { chromium } = require('playwright-core');
  const browser = await chromium.launch({ executablePath: kChromium, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  cleanup(t, () => browser.close());
  return browser;
}

// Returns the page's address.
async function servePage(t, html) {
  const server = http.createServer((request, response) => {
    const isBundle = request.url === '/supabase.js';
    response.setHeader('content-type', isBundle ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(isBundle ? fs.readFileSync(kBundle) : html);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup(t, () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }));
  return `http://127.0.0.1:${server.address().port}/`;
}

module.exports = { openBrowser, servePage };
