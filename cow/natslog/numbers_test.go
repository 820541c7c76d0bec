package natslog

import "testing"

func TestNumbers(t *testing.T) {
	tests := []struct {
		reply       string
		seq, number uint64
		ok          bool
	}{
		{"$JS.ACK.COWRELAY.c1.1.17.4.1700000000000000000.3", 17, 4, true},
		{"$JS.ACK.hub.AbCdEf.COWRELAY.c1.1.17.4.1700000000000000000.3", 17, 4, true},
		{"$JS.ACK.hub.AbCdEf.COWRELAY.c1.1.17.4.1700000000000000000.3.x9", 17, 4, true},
		{"$JS.ACK.COWRELAY.c1.1.17", 0, 0, false},
		{"$JS.ACK.COWRELAY.c1.1.x.4.5.6", 0, 0, false},
		{"$JS.ACK.", 0, 0, false},
		{"_INBOX.1", 0, 0, false},
		{"", 0, 0, false},
	}
	for _, test := range tests {
		seq, number, ok := numbers(test.reply)
		if ok != test.ok || ok && (seq != test.seq || number != test.number) {
			t.Errorf("%s: %d, %d, %v", test.reply, seq, number, ok)
		}
	}
}

func FuzzNumbers(f *testing.F) {
	f.Add("$JS.ACK.COWRELAY.c1.1.17.4.1700000000000000000.3")
	f.Add("$JS.ACK.hub.AbCdEf.COWRELAY.c1.1.17.4.1700000000000000000.3.x9")
	f.Fuzz(func(t *testing.T, reply string) { numbers(reply) })
}

func TestVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"2.15.0": true, "2.15.2": true, "2.15.0-RC.1": true, "2.16.0-dev": true, "3.0.0": true, "v2.15.1": true,
		"2.14.9": false, "2.9.25": false, "1.4.1": false, "": false, "dev": false, "2": false, "a.b.c": false,
	} {
		if err := checkVersion("n1", version); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}
