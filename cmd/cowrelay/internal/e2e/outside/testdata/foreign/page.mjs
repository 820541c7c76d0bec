// page.mjs LIBRARY URL: gets a page with the fetch of Node.js (node) or of undici, and
// prints the coding that the header names, a line feed, and the page as they give it.
import { createRequire } from "node:module";

const [library, url] = process.argv.slice(2);
const get = library === "node" ? fetch : createRequire(process.env.MODULES + "/")("undici").fetch;
const reply = await get(url, { headers: { Authorization: "Bearer " + process.env.TOKEN } });
const page = await reply.text();
process.stdout.write((reply.headers.get("content-encoding") ?? "") + "\n" + page);
