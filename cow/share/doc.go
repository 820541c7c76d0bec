// Package share keeps the books of one bounded thing that many clients take
// parts of: connections, bytes of requests, long polls, streams. It knows
// neither what the thing is nor who the clients are.
//
// What holds:
//   - S1 All holders together never have more than the limit, nor those of one
//     client more than its share.
//   - S2 What was taken is given back once, however often and by whomever Give
//     is called.
//   - S3 The client that has the most gives way; only where none of its holders
//     is found that may go, one that has nearly as much. Of a client's holders
//     it is the one that took, grew or was touched longest ago among those that
//     may go.
//   - S4 To take and to give back costs the logarithm of the number of clients;
//     to find who gives way looks at a bounded number of holders.
package share
