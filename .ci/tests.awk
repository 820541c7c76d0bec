# Reads `go test -json`. Says when a package begins and how long it took, prints
# the output of tests that fail, and lists the longest packages and tests at the
# end. Exits with 1 if anything failed.

function field(name,    at, rest) { # a string without escapes in it
	at = index($0, "\"" name "\":\"")
	if (!at) return ""
	rest = substr($0, at + length(name) + 4)
	return substr(rest, 1, index(rest, "\"") - 1)
}

function number(name,    at) {
	at = index($0, "\"" name "\":")
	return at ? substr($0, at + length(name) + 3) + 0 : 0
}

function output(    at, s) { # the last field
	at = index($0, "\"Output\":\"")
	s = substr($0, at + 10)
	sub(/"[^"]*$/, "", s)
	gsub(/\\\\/, "\001", s)
	gsub(/\\n/, "\n", s); gsub(/\\t/, "\t", s); gsub(/\\r/, "\r", s); gsub(/\\"/, "\"", s)
	gsub(/\\u003c/, "<", s); gsub(/\\u003e/, ">", s); gsub(/\\u0026/, "\\&", s)
	gsub(/\001/, "\\", s)
	return s
}

function say(s) { print s; fflush() }

function under_way(    p, s) {
	for (p in running) s = s " " p
	return s ? "   running:" s : ""
}

# A test that hangs or panics has no end of its own.
function unfinished(pkg,    key, part) {
	for (key in kept) {
		split(key, part, SUBSEP)
		if (part[1] == pkg) printf "%s", kept[key]
	}
}

function longest(title, times, most,    n, name, best) {
	print title
	for (n = 0; n < most; n++) {
		best = ""
		for (name in times) if (best == "" || times[name] > times[best]) best = name
		if (best == "" || times[best] < 1) break
		printf "  %7.1f s  %s\n", times[best], best
		delete times[best]
	}
}

{ action = field("Action"); pkg = field("Package"); sub(/^cowrelay\//, "", pkg); test = field("Test") }

action == "start" { running[pkg] = 1; say("begin  " pkg) }
action == "build-output" { printf "%s", output(); fflush() }
action == "build-fail" { bad = 1 }
action == "output" {
	text = output()
	if (test == "" && text ~ /^(ok|\?|FAIL|PASS|coverage)/) { if (text ~ /\(cached\)/) cached[pkg] = 1 }
	else kept[pkg, test] = kept[pkg, test] text
}
(action == "pass" || action == "fail" || action == "skip") && test != "" {
	if (action == "fail") { bad = 1; printf "%s: %s\n", pkg, test; printf "%s", kept[pkg, test]; fflush() }
	else if (test !~ /\//) tests[pkg " " test] = number("Elapsed")
	delete kept[pkg, test]
}
(action == "pass" || action == "fail" || action == "skip") && test == "" {
	delete running[pkg]
	if (action == "fail") { bad = 1; unfinished(pkg) }
	packages[pkg] = number("Elapsed")
	if (action != "skip") say(sprintf("%-6s %s %s%s", action == "pass" ? "ok" : "FAILED", pkg, cached[pkg] ? "(cached)" : sprintf("%.1f s", packages[pkg]), under_way()))
}
action == "" { say($0) } # not JSON

END {
	longest("longest packages:", packages, 10)
	longest("longest tests:", tests, 10)
	exit bad
}
