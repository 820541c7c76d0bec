package rendezvous

import "cowrelay/cow"

// putRecord makes a record.
func putRecord(records cow.Records, key string, value []byte) error {
	_, err := records.Put(key, value, 0, cow.Totals{})
	return err
}
