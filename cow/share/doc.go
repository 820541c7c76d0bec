// Package share keeps the books of one bounded thing that many clients take
// parts of: connections, bytes of requests, long polls, streams. It knows
// neither what the thing is nor who the clients are.
//
// What holds:
//   - S1 All holders together never have more than the limit, nor those of one
//     client more than its share.
//   - S2 What was taken is given back once, however often and by whomever Give
//     is called.
//   - S3 Who is asked to give way is a holder of the client that has the most;
//     of its holders the one that took, grew or was touched longest ago among
//     those that may go. So a client that takes much can't push out one that
//     takes little.
//   - S4 To take and to give back costs the logarithm of the number of clients;
//     to find who gives way looks at a bounded number of holders.
package share
