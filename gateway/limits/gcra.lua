-- Leases requests under the generic cell rate algorithm. KEYS[1] holds the theoretical arrival time in µs.
-- ARGV: µs per request, burst, requests wanted, and the time in µs where it is not the server's. Returns granted,
-- remaining, µs until the next one.
local time = redis.call('TIME')
local now = tonumber(ARGV[4]) or time[1] * 1000000 + time[2]
local interval, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local available = math.max(0, math.floor((burst * interval - (arrival - now)) / interval))
local granted = math.min(want, available)
if granted == 0 then
  return {0, 0, math.ceil(arrival - now - (burst - 1) * interval)}
end
arrival = arrival + granted * interval
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
return {granted, available - granted, 0}
