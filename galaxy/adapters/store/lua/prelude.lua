-- Stands before every script. It names no keys; what belongs to versions is in files that scripts include.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A number of milliseconds as Redis has to get it: in digits, never as 1.7e+12.
local function ms(value)
  return string.format('%.0f', value)
end
